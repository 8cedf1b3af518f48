/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper's listening socket. See listener.h.
 */
#include "daemon/keeper/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/listen_socket.h"
#include "kernel/base/cleanup.h"

#define LOCK    "keeper.lock"
#define BACKLOG 16

struct passed {
	struct keeper_listener *listener;
	struct held_fds *holding;
};

/* One listener of the right kind is the socket, fds under the keeper's names are held again, all
 * else is closed. */
static void take_passed(const char *name, int take_fd, void *context)
{
	struct passed *passed = context;
	struct keeper_listener *listener = passed->listener;

	if (listener->fd < 0 && strcmp(name, KEEPER_SOCKET) == 0 && listen_socket_is(take_fd) &&
		fcntl(take_fd, F_SETFL, O_NONBLOCK) == 0)
		listener->fd = take_fd;
	else if (held_fds_restore(passed->holding, name, take_fd) < 0)
		fd_close(take_fd);
}

static int lock_directory(const char *runtime_directory)
{
	char path[sizeof((struct sockaddr_un *)0)->sun_path];
	cleanup_fd int fd = -1;
	int locked;

	snprintf(path, sizeof path, "%s/" LOCK, runtime_directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	locked = fd;
	fd = -1; /* handed over */
	return locked;
}

/* Only a dead keeper's is in the way. */
static int remove_stale(const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -ENOTSOCK;
	return unlink(path) < 0 ? -errno : 0;
}

static int bind_and_listen(struct keeper_listener *listener)
{
	int r;

	r = remove_stale(listener->address.sun_path);
	if (r == 0)
		r = listen_socket_bind(&listener->address, &listener->fd);
	if (r < 0)
		return r;
	listener->made = true;
	return listen(listener->fd, BACKLOG) < 0 ? -errno : 0;
}

static int make_socket(struct keeper_listener *listener, const char *runtime_directory)
{
	mode_t mask;
	int r;

	listener->address.sun_family = AF_UNIX;
	snprintf(listener->address.sun_path, sizeof listener->address.sun_path, "%s/" KEEPER_SOCKET,
		runtime_directory);
	if (mkdir(runtime_directory, 0755) < 0 && errno != EEXIST)
		return -errno;
	listener->lock = lock_directory(runtime_directory);
	if (listener->lock < 0)
		return listener->lock;
	/* There is no moment at which others may connect. */
	mask = umask(0177);
	r = bind_and_listen(listener);
	umask(mask);
	return r;
}

int keeper_listener_open(struct keeper_listener *listener, const char *runtime_directory,
	bool passed, struct held_fds *holding)
{
	struct passed taken = {listener, holding};
	int r;

	*listener = (struct keeper_listener){.fd = -1, .lock = -1};
	if (passed)
		listen_sockets_take_passed(take_passed, &taken);
	r = listener->fd < 0 ? make_socket(listener, runtime_directory) : 0;
	if (r < 0)
		keeper_listener_close(listener);
	return r;
}

void keeper_listener_close(struct keeper_listener *listener)
{
	if (listener->made)
		unlink(listener->address.sun_path);
	listener->made = false;
	listener->fd = fd_close(listener->fd);
	listener->lock = listener->lock < 0 ? -1 : fd_close(listener->lock);
}
