/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over: from the gmemd that was to this one, and from this one to the next.
 *
 * What a predecessor has left at the keeper is taken over: listening sockets, connections, VMs. At
 * its end a gmemd leaves all that to its successor, unless it has nothing that anybody would miss.
 *
 * The order at the start:
 *
 *  1. A keeper is found, or started (takeover_begin()); before there are threads, so that the table
 *     of files can grow without waiting.
 *  2. All that it holds is fetched, by id (inherited_fds.h); the keeper goes on holding it. The
 *     ledger of peers is locked, which waits for the predecessor's end: from here on this gmemd
 *     is the only one that writes.
 *  3. Reservations are taken over, then VMs; what both have is a VM's, and a reservation no more.
 *     Each VM is made again as its ledger says (recover_vm.h): itself, its memories, slots, private
 *     frames and calls; then the call that its gate had trapped is answered, and calls that were
 *     being finished are finished. What a ledger says is held to the same checks as what a peer
 *     says. No limit refuses meanwhile: what was granted stays so.
 *  4. The listening sockets are taken, or made; each connection goes on as a peer, with its packet
 *     and its owed answers (recover_peers.h, daemon/request/delivery.h).
 *  5. Whatever nobody has taken belongs to nothing, and is dropped. VMs whose process has ended
 *     meanwhile are released, and what was being released goes on (takeover_finish()).
 *  6. The service manager is told that gmemd is ready.
 *  7. What is left serves nobody but gmemd: recover_rest.h.
 *
 * It can be killed at any point of that. Nothing is dropped at the keeper before 5, but what can't
 * be taken over, so that the next one finds what this one has found; a VM's ledger is changed by
 * whole transactions; and what 3 answers or finishes is noted as answered or finished, or can be
 * repeated. Ids of calls begin above those of every gmemd before (generation), so that a report
 * that comes late is not taken for another call's.
 *
 * What is not taken over: preallocations that were under way, whose requests a successor answers
 * with busy, and the model's VMs, which end with their gmemd.
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
