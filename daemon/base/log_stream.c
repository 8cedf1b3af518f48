/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines to stderr. See log_stream.h.
 */
#include "daemon/base/log_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(LOG_LINE_MAX + 2 <= PIPE_BUF, "a pipe takes a line as a whole");

static enum log_stream_kind kind_of(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return LOG_STREAM_FILE;
	if (S_ISSOCK(status.st_mode))
		return LOG_STREAM_SOCKET;
	if (S_ISFIFO(status.st_mode))
		return LOG_STREAM_PIPE;
	return isatty(fd) ? LOG_STREAM_TERMINAL : LOG_STREAM_FILE;
}

void log_stream_open(struct log_stream *stream)
{
	int fd = -1;

	*stream = (struct log_stream){.kind = kind_of(STDERR_FILENO), .fd = STDERR_FILENO};
	if (stream->kind == LOG_STREAM_TERMINAL)
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	stream->own = fd >= 0;
	if (stream->own)
		stream->fd = fd;
}

static bool has_room(int fd)
{
	struct pollfd event = {.fd = fd, .events = POLLOUT};

	return poll(&event, 1, 0) > 0 && event.revents & (POLLOUT | POLLERR);
}

static ssize_t write_with_room(int fd, const char *bytes, size_t length)
{
	if (has_room(fd))
		return write(fd, bytes, length);
	errno = EAGAIN;
	return -1;
}

static ssize_t write_pipe(int fd, const char *bytes, size_t length)
{
	const struct iovec part = {(void *)bytes, length};
	ssize_t written = pwritev2(fd, &part, 1, /* offset: the current one= */ -1, RWF_NOWAIT);

	if (written < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		return write_with_room(fd, bytes, length);
	return written;
}

static ssize_t write_some(const struct log_stream *stream, const char *bytes, size_t length)
{
	switch (stream->kind) {
	case LOG_STREAM_SOCKET:
		return send(stream->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	case LOG_STREAM_PIPE:
		return write_pipe(stream->fd, bytes, length);
	case LOG_STREAM_TERMINAL:
		/* One that says that it has room may have it for a byte alone. */
		return stream->own ? write(stream->fd, bytes, length)
				   : write_with_room(stream->fd, bytes, 1);
	case LOG_STREAM_FILE:
		break;
	}
	return write(stream->fd, bytes, length);
}

/* Returns how many went out; where not all did, errno says why. */
static size_t write_all(const struct log_stream *stream, const char *bytes, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t written = write_some(stream, bytes + done, length - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;
		done += (size_t)written;
	}
	return done;
}

int log_stream_write(struct log_stream *stream, const char *line, size_t length)
{
	char bytes[LOG_LINE_MAX + 2];
	size_t size = 0, done;

	if (stream->amid)
		bytes[size++] = '\n';
	length = length < LOG_LINE_MAX ? length : LOG_LINE_MAX;
	memcpy(bytes + size, line, length);
	size += length;
	bytes[size++] = '\n';
	done = write_all(stream, bytes, size);
	if (done == size)
		stream->amid = false;
	else if (done > 0)
		stream->amid = true;
	return done == size ? 0 : -errno;
}
