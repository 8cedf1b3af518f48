/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets: one message with its file descriptors over AF_UNIX, SOCK_SEQPACKET.
 *
 * Functions return 0 or a negative errno.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define PACKET_BYTES_MAX 65536
#define PACKET_FDS_MAX   16

/* File descriptors that came or go with one packet. Owned, but for those that fd_list_take() gave
 * away. */
struct fd_list {
	size_t count;
	int fds[PACKET_FDS_MAX]; /* -1 where taken */
};

/* The fd at index, to be owned by the caller from now on. -1 where there is none. */
int fd_list_take(struct fd_list *list, size_t index);
/* Closes all that it still owns and empties it. */
void fd_list_close(struct fd_list *list);

enum packet_fault {
	PACKET_WHOLE,
	PACKET_TOO_LONG, /* longer than PACKET_BYTES_MAX; the rest is lost */
	/* more than PACKET_FDS_MAX, or more than this process may hold; all are closed */
	PACKET_TOO_MANY_FDS,
};

struct packet {
	char bytes[PACKET_BYTES_MAX + 1];
	size_t length;
	struct fd_list fds;
	enum packet_fault fault;
};

/*
 * Receives one packet; its fds have FD_CLOEXEC and belong to it, whatever its fault. flags as of
 * recvmsg(2), such as MSG_DONTWAIT. -ECONNRESET at the end of the connection, -EAGAIN where nothing
 * is there.
 */
int packet_receive(int socket, int flags, struct packet *packet);

/* How long packet_await() waits at that socket: without end where this was not said. */
int packet_limit_wait(int socket, unsigned milliseconds);
/* Waits for a packet in the call that receives it. -EAGAIN where none has come in that time, or a
 * signal has. */
int packet_await(int socket, struct packet *packet);

/*
 * Sends one packet. The fds stay the caller's. -EMSGSIZE past a limit, -EPIPE where the peer is
 * gone (no SIGPIPE), -EAGAIN, with MSG_DONTWAIT, where its queue is full, -ETOOMANYREFS where too
 * many fds are on their way already.
 */
int packet_send(
	int socket, int flags, const char *bytes, size_t length, const int *fds, size_t n_fds);

/* What msg_len of a mark is until the kernel has done what it is of. */
#define PACKET_UNDONE UINT_MAX

/*
 * The same, with a mark of the caller's: its msg_len is PACKET_UNDONE until the packet is sent. As
 * the kernel writes it, it is right in memory that outlives this process, whenever that is killed.
 */
int packet_send_marked(int socket, int flags, const char *bytes, size_t length, const int *fds,
	size_t n_fds, struct mmsghdr *mark);

/* A packet of one who can send no files. */
struct packet_bytes {
	const char *bytes; /* followed by a NUL */
	size_t length;
	bool too_long; /* longer than PACKET_BYTES_MAX; the rest is lost */
};

/*
 * Receives one packet without waiting; it must come from one who can send no files. Its bytes are
 * written to room, of PACKET_BYTES_MAX + 1, and then, by the kernel too, the mark: both are right
 * in memory that outlives this process, whenever that is killed, if their pages are there
 * beforehand. -ECONNRESET at the end of the connection, -EAGAIN where nothing is there.
 */
int packet_receive_marked(int socket, char *room, struct mmsghdr *mark);
/* What was received there, once the mark is no more PACKET_UNDONE. */
struct packet_bytes packet_received(const char *room, const struct mmsghdr *mark);

/* Connects to the socket at path. The caller owns *ret_fd. -ENAMETOOLONG where the path is no
 * socket's. */
int packet_connect(const char *path, int *ret_fd);
