/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's process that goes on with it on another connection, by vm.resume.
 *
 * What it had asked on a connection that it has closed may not be read yet. It is told by vm.get
 * what waits for it, and asks anew what was not answered: what was asked before then must not be
 * carried out any more, for a call would be made that nobody knows of. Reports are taken all the
 * same, where they are notifications.
 */
#pragma once

#include "daemon/request/request.h"

/* Before a connection's first request. */
void resumption_begin(struct caller *caller, const struct registry *registry);
/* Of one that a predecessor has left: where it is closed its process may have been told already. */
void resumption_recover(struct caller *caller);
/* The VM goes on on the request's connection. */
void resumption_note(const struct request *request, struct vm *vm);
/* Whether it is one that nobody waits for any more. */
bool resumption_left_behind(const struct request *request);
