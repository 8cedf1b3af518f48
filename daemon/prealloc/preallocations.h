/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The preallocations that are under way: who asked for each, and what it is of.
 *
 * Each ends with its peer, its memory or its VM, whichever is first. Whoever gives pages back waits
 * for the end of the helpers that could allocate them anew: they are killed at once, and are gone a
 * moment later.
 */
#pragma once

#include "daemon/request/request.h"

/* Starts the one that the parameters ask for, of size bytes, and defers the request:
 * REQUEST_DEFERRED, or an error's code. The range is checked, and that it can be populated. */
int preallocating_start(struct request *request, struct memory *memory, uint64_t size);

/* Ends the one with that token, of the caller's process or, for an operator, of any. Not found:
 * false. */
bool preallocating_cancel(struct gmemd *gmemd, const struct caller *caller, const char *token);

/* Of somebody who waits for the end of helpers. */
struct preallocating_wait {
	TAILQ_ENTRY(preallocating_wait) link;
	uint64_t vm, memory; /* whose helpers: their numbers; 0: whichever */
	void (*over)(struct preallocating_wait *wait);
};

/*
 * End those of a memory, of a VM. False where none was under way; else over, which is set, is
 * called from the loop when they have ended, and wait is to stay until then. wait NULL: nobody
 * does.
 */
bool preallocating_stop_memory(
	struct gmemd *gmemd, const struct memory *memory, struct preallocating_wait *wait);
bool preallocating_stop_vm(
	struct gmemd *gmemd, const struct vm *vm, struct preallocating_wait *wait);
/* The same for all, where there is no loop any more: waits for a moment. */
void preallocating_stop_all(struct gmemd *gmemd);
