/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page thread's gmemd-puncher: who gives back pages in its place, because nobody can end a
 * process that waits for that (daemon/puncher/main.c).
 *
 * The thread waits for the puncher instead, and can be told to stop at any time. A puncher that has
 * ended is replaced. Where none can be had, the thread punches itself: memory that is not given
 * back would be worse than a gmemd that may end late.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "daemon/puncher/punch.h"

struct puncher {
	const char *program; /* see struct helper_program */
	int pidfd;           /* -1: there is none */
	uint64_t next_try;   /* to start one, CLOCK_MONOTONIC, nanoseconds */
	/* Whoever stops it shuts its socket down, which must be no other's by then. */
	pthread_mutex_t lock;
	int socket;
	bool stopped;
};

void puncher_init(struct puncher *puncher, const char *program);
/* It is stopped, or not in use; what it is asked for goes on without anybody. */
void puncher_clear(struct puncher *puncher);
/* The puncher leaves; the next is started when it is needed. */
void puncher_leave(struct puncher *puncher);

/* punch(), of at most PUNCHER_RANGES_MAX ranges. Once it is stopped it does and waits for
 * nothing. */
void puncher_punch(struct puncher *puncher, int fd, enum punch_kind kind,
	const struct punch_range *ranges, size_t count, struct punched *ret);

/* From another thread: who waits in puncher_punch() returns. */
void puncher_stop(struct puncher *puncher);
