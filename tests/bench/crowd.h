/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A crowd: many VMMs, each a process with a VM, its memories and slots, that then do nothing.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct crowd_plan {
	unsigned vmms;
	unsigned memories; /* of each, of as many slots as there are for each memory */
	unsigned slots;    /* of each: a multiple of its memories */
	bool no_gate;      /* as on the model */
};

struct crowd {
	pid_t *pids;
	unsigned count;
	char last[32]; /* the VM of the last one */
};

/* Returns when all have what they are to have. They die with the caller. 0 or a negative errno; it
 * must be ended in either case. socket: gmemd's. */
int crowd_start(const char *socket, const struct crowd_plan *plan, struct crowd *ret);
void crowd_end(struct crowd *crowd);
