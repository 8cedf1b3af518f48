/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SO_PASSRIGHTS. See passrights.h.
 */
#include "kernel/host/passrights.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/base/cleanup.h"

/* Later than Debian 12's headers. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static int get(int socket, bool *ret)
{
	int value = 0;
	socklen_t length = sizeof value;

	if (getsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &value, &length) < 0)
		return -errno;
	*ret = value;
	return 0;
}

static int set_option(int socket, bool may)
{
	const int value = may;

	return setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof value) < 0 ? -errno : 0;
}

int passrights_probe(void)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool may;

	return fd < 0 ? -errno : get(fd, &may);
}

int passrights_withdraw(int listener, bool *ret_had)
{
	bool had = false;
	int r = get(listener, &had);

	if (r == 0 && had)
		r = set_option(listener, false);
	if (r == 0)
		*ret_had = had;
	return r;
}

/* Of Linux 5.8 on, beside what all files have: "scm_fds: N". */
static int count_queued_files(int socket, unsigned *ret)
{
	char path[64], text[1024];
	cleanup_fd int fd = -1;
	const char *line;
	ssize_t length;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", socket);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, text, sizeof text - 1);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	line = strstr(text, "scm_fds:");
	if (!line)
		return -ENOTSUP;
	*ret = (unsigned)strtoul(line + strlen("scm_fds:"), NULL, 10);
	return 0;
}

static int check_queue(int socket)
{
	unsigned files;
	int r = count_queued_files(socket, &files);

	return r < 0 ? r : files > 0 ? -EBUSY : 0;
}

/* A sender that was let through before has put its packet into the queue when this has had the
 * lock that it holds for that, which looking for room takes. */
static void await_senders(int socket)
{
	struct pollfd event = {.fd = socket, .events = POLLIN | POLLOUT};

	poll(&event, 1, 0);
}

int passrights_withdraw_from_peer(int connection, bool *ret_had)
{
	int r = get(connection, ret_had);

	if (r < 0 || !*ret_had)
		return r;
	r = check_queue(connection);
	if (r == 0)
		r = set_option(connection, false);
	if (r < 0)
		return r;
	await_senders(connection);
	r = check_queue(connection);
	if (r < 0)
		set_option(connection, true);
	return r;
}
