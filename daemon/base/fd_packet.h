/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets of bytes and files over AF_UNIX, SOCK_SEQPACKET, between gmemd and a program of its own.
 *
 * Functions return 0 or a negative errno.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define FD_PACKET_FDS_MAX 253 /* the kernel's SCM_MAX_FD */

/* What was received. */
struct fd_packet {
	size_t length; /* of the packet, of which no more was written than there is room for */
	size_t n_fds;
	int fds[FD_PACKET_FDS_MAX]; /* owned; -1 where taken. They have FD_CLOEXEC */
	bool fds_lost; /* there were more than it can have, or than this process can hold */
};

/* Whether the other may be there, and the same may do later: there is no memory, or there are too
 * many fds on their way. Nothing has been sent or received. */
static inline bool fd_packet_is_short(int r)
{
	return r == -ENOMEM || r == -ENOBUFS || r == -ETOOMANYREFS;
}

/* Receives one. -ECONNRESET where the connection has ended; an empty packet counts as its end.
 * -EAGAIN where there is none, on a socket that doesn't wait. */
int fd_packet_receive(int socket, void *bytes, size_t size, struct fd_packet *ret);
/* Closes the fds that it still owns. */
void fd_packet_clear(struct fd_packet *packet);

/* The fds stay the caller's. -EPIPE where the other is gone; where there is not enough of something
 * for now, see fd_packet_is_short(). */
int fd_packet_send(int socket, const void *bytes, size_t length, const int *fds, size_t n_fds);
