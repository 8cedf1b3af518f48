/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ioctls that the gate traps: they wait in the kernel for gmemd, or for the next one.
 *
 * Once a gmemd has seen one no signal ends its wait but one that kills. So a thread of its own
 * carries it out, and who wants it can give it up; that thread then waits on, and what its ioctl
 * makes at last is closed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "client/lib/spare_thread.h"

struct gmem;

struct trapped {
	/* Of who has given it up. */
	LIST_ENTRY(trapped) link;
	struct spare_work work; /* the thread's */
	uint64_t call;
	/* Its own. */
	int fd, result;
	unsigned long request;
	uint64_t argument;
	int over; /* an eventfd, readable when it is */
	_Atomic bool given_up;
	_Atomic unsigned holders; /* the thread, and who waits for it */
};

LIST_HEAD(trapped_list, trapped);

/*
 * Carries out ioctl(fd, request, argument), again where it was interrupted: a file, or a negative
 * errno. -ECONNRESET, and that is the last error, where gmemd has given no sign for too long: then
 * *ret_given_up is the caller's, to be freed with trapped_free(). It is NULL else.
 */
int trapped_ioctl(struct gmem *gmem, int fd, unsigned long request, uint64_t argument,
	struct trapped **ret_given_up);
/* Whether nothing comes of it any more, now or after it was freed. */
bool trapped_is_over(const struct trapped *trapped);
/* The same as trapped_free() of one that is over: its files are closed when this returns. */
void trapped_free_over(struct trapped *trapped);
/* Takes NULL, returns NULL. */
struct trapped *trapped_free(struct trapped *trapped);
