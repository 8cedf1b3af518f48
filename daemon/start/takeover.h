/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Succession: from the gmemd that was to this one, and from this one to the next.
 *
 * What a predecessor has left at the keeper is taken over: listening sockets, connections, VMs. At
 * its end a gmemd leaves all that to its successor, unless it has nothing that anybody would miss.
 */
#pragma once

#include "daemon/gmemd.h"

/* Finds a keeper, or goes on without; best before there are threads. -ETIMEDOUT or -EBUSY
 * where one is there and doesn't answer; -ENOMEM. */
int takeover_begin(struct gmemd *gmemd);
/* Takes over the VMs. 0 or a negative errno, with the reason in the log. */
int takeover_take_over(struct gmemd *gmemd);
/* What is left then belongs to nothing: once the peers are there who are to be told. */
void takeover_finish(struct gmemd *gmemd);

/* At its end, while all is still there. Where anybody would miss it, a successor is to find it as
 * it is, and nothing changes any more; else the keeper is to hold nothing of it. */
void takeover_leave(struct gmemd *gmemd);
/* Forgets the keeper. */
void takeover_clear(struct gmemd *gmemd);
