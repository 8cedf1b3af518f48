/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The preallocations that are under way: who asked for each, and what it is of.
 *
 * Each ends with its peer, its memory or its VM, whichever is first; its helper is gone before the
 * memory's pages are given back, so that it can't allocate them anew.
 */
#pragma once

#include "daemon/handler.h"

/* Starts one of a checked range, and defers the request: REQUEST_DEFERRED, or an error's code. */
int preallocating_start(
	struct request *request, struct memory *memory, uint64_t offset, uint64_t size);

/* Ends the one with that token, of the caller's process or, for an operator, of any. Not found:
 * false. */
bool preallocating_cancel(struct gmemd *gmemd, const struct caller *caller, const char *token);

/* End those of a memory, of a VM, and all, now. */
void preallocating_stop_memory(struct gmemd *gmemd, const struct memory *memory);
void preallocating_stop_vm(struct gmemd *gmemd, const struct vm *vm);
void preallocating_stop_all(struct gmemd *gmemd);
