/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the exporter listens: an address with its port, or a path of a unix socket.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct address {
	struct sockaddr_storage socket;
	socklen_t length;
	/* The file at a unix socket's path, while it listens there. */
	dev_t device;
	ino_t inode;
};

/* "127.0.0.1:9768", "[::1]:9768", "/run/gmemd-exporter/metrics". -EINVAL. */
int address_parse(const char *text, struct address *ret);
/* The caller owns *ret_fd. A unix socket that nobody serves is replaced; -EADDRINUSE where somebody
 * does. Or a negative errno. */
int address_listen(struct address *address, int *ret_fd);
/* A unix socket's path is there no more, unless somebody else has put another there. */
void address_leave(const struct address *address);
