/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pressure triggers that outlive gmemd. Whoever closes the last file of one waits for an RCU grace
 * period, 8 to 16 ms on a quiet host (psi_trigger_destroy(), Linux 6.18). The kernel would, for
 * each, at the end of a gmemd that is killed, and its supervisor with it: so the keeper has them,
 * too, and a successor goes on with them. Neither gmemd's loop nor the keeper is the last to close
 * one: see trigger_end.h.
 */
#pragma once

#include "daemon/gmemd.h"
#include "kernel/host/pressure.h"

struct keeper_id;

struct kept_trigger {
	struct pressure_trigger trigger;
	struct fdstore *fdstore;
	uint64_t owner, member; /* of its id there */
};

/* What is in one that was not opened, or has ended. */
#define KEPT_TRIGGER_NONE ((struct kept_trigger){.trigger = {-1, -1}})

/* The one that a predecessor has left for that file and threshold, or a new one. As
 * pressure_trigger_open(). */
int kept_trigger_open(struct gmemd *gmemd, const char *path,
	const struct pressure_threshold *threshold, struct kept_trigger *ret);
/* Where a successor is to find it, the keeper has it still. Takes KEPT_TRIGGER_NONE, which it is
 * afterwards. */
void kept_trigger_end(struct kept_trigger *trigger);
/* No successor is to find it. */
void kept_trigger_drop(const struct kept_trigger *trigger);
/* Ends one that a predecessor has left and nobody wants. */
void kept_trigger_dispose(struct fdstore *fdstore, const struct keeper_id *id, int take_fd);
