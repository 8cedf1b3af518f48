/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One gmemd-taker, as gmemd sees it: started, asked one thing at a time, left, ended.
 *
 * Nobody waits for one. One that has not answered, closed or ended in time counts as hung. It is
 * asked nothing more, and is left if it answers after all. It counts until it has ended.
 */
#pragma once

#include <event2/event_struct.h>
#include <stdbool.h>

#include "daemon/taker/packet.h"

/* How long one may take for anything. */
#define TAKER_LATE_MS 5000
/* How long one that is asked nothing stays. */
#define TAKER_IDLE_MS 3000

enum taking_state {
	TAKING_IDLE,
	TAKING_ASKED,
	TAKING_CLOSING, /* its duplicates of what it has handed over */
	TAKING_LEAVING, /* nothing connects it with gmemd any more: it ends */
};

struct taking_process;

/* Called from the loop. */
struct taking_process_events {
	/*
	 * The answer to what was asked, which is as the protocol says, or NULL and why there is
	 * none. Files of it that are not taken are closed afterwards. It is not called for a taker
	 * that hangs.
	 */
	void (*answered)(struct taking_process *process, struct taker_packet *answer, int error);
	/* It is idle, hangs, or leaves, from now on. */
	void (*changed)(struct taking_process *process);
	/* It is freed afterwards. */
	void (*ended)(struct taking_process *process);
};

struct taking_process {
	const struct taking_process_events *events;
	void *context; /* the starter's */
	enum taking_state state;
	bool hung;
	int socket; /* -1: left */
	int pidfd;
	struct taker_asked asked; /* what it answers next */
	uint64_t serial;
	struct event readable;
	struct event ended; /* and its time: it is late, or was idle for long enough */
};

/* program: see struct helper_program. It is idle. Errors are helper_process_start()'s. */
int taking_process_start(struct event_base *base, const char *program,
	const struct taking_process_events *events, void *context, struct taking_process **ret);

/* Asks an idle one for a TAKE or a LOOK, whose serial this fills in. The pidfd stays the caller's.
 * Where it can't be asked, it is left. */
int taking_process_ask(struct taking_process *process, struct taker_message *request, int pidfd);

/* It has not answered in time. */
void taking_process_give_up(struct taking_process *process);

/* Of one that is idle: it ends. */
void taking_process_leave(struct taking_process *process);

/* Forgets it, whatever it does; it ends, or hangs, by itself. Takes NULL, returns NULL. */
struct taking_process *taking_process_free(struct taking_process *process);
