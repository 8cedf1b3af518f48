/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the exporter listens: an address with its port, or a path of a unix socket.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

struct address {
	struct sockaddr_storage socket;
	socklen_t length;
};

/* "127.0.0.1:9768", "[::1]:9768", "/run/gmemd-exporter/metrics". -EINVAL. */
int address_parse(const char *text, struct address *ret);
/* The caller owns *ret_fd. A unix socket that nobody serves is replaced; -EADDRINUSE where somebody
 * does. Or a negative errno. */
int address_listen(const struct address *address, int *ret_fd);
/* A unix socket's path is there no more. */
void address_leave(const struct address *address);
