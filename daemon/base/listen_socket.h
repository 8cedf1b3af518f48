/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening sockets, AF_UNIX and SOCK_SEQPACKET: passed by the service manager (sd_listen_fds(3)),
 * or bound at a path. Who removes what is in the way at the path, and when, is for who binds.
 */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

/* Hands over each file that the service manager has passed, with the name that it has there. -errno
 * where that can't be found out. */
int listen_sockets_take_passed(
	void (*take)(const char *name, int take_fd, void *context), void *context);

/* Whether the file is such a socket, and listens. */
bool listen_socket_is(int fd);

/* One that does not block, bound and not listening yet. Returns 0 or a negative errno. */
int listen_socket_bind(const struct sockaddr_un *address, int *ret_fd);
