/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Marks: what system calls have done that can't be asked for again.
 *
 * A gmemd that is killed within a system call that receives or sends a packet, or receives a
 * trapped call, or before its next instruction, could tell nobody what came of it. So the kernel
 * itself writes that into memory that outlives gmemd, before it lets the process end by a signal.
 */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "protocol/packet.h"

/* Of the last packet. */
struct packet_mark {
	uint64_t peer;
	uint64_t request;    /* the packet's number, or that of the request it answers; 0: none */
	uint64_t ends_turn;  /* of an answer: the packet that it answers is done with */
	struct mmsghdr call; /* see packet_send_marked() and packet_receive_marked() */
};

struct syscall_marks {
	uint32_t magic, version;
	struct packet_mark sent; /* an answer */
	struct {
		uint64_t vm; /* its number */
		struct seccomp_notif notification;
	} trap;
	struct packet_mark received; /* a packet that is not done with */
	char packet[PACKET_BYTES_MAX + 1];
};

/* In a memfd, which is the caller's. 0 or a negative errno. */
int syscall_marks_new(int *ret_fd, struct syscall_marks **ret);
/* Those of a predecessor; the fd stays the caller's. -EBADMSG where they are none, or of another
 * version. */
int syscall_marks_open(int fd, struct syscall_marks **ret);
/* Takes NULL, returns NULL. */
struct syscall_marks *syscall_marks_close(struct syscall_marks *marks);

/* Before it is tried. */
void syscall_mark_begin(struct packet_mark *mark, uint64_t peer, uint64_t request, bool ends_turn);
/* What it tells is of no use any more. */
void syscall_mark_clear(struct packet_mark *mark);
/* Whether the kernel has done it, of that request of that peer. */
bool syscall_mark_done(const struct packet_mark *mark, uint64_t peer, uint64_t request);
