/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Residency: bringing up to date how many pages memories have.
 *
 * Nothing but a count tells that of a guest_memfd, and a count takes time for each page. So where
 * memories are large the request that wants to know waits for it, and nobody else does.
 */
#pragma once

#include "daemon/request/request.h"

struct residency;

/* Counting in the owner's turns. NULL without memory. */
struct residency *residency_new(struct gmemd *gmemd, struct owner *owner);
/* Takes NULL, returns NULL. */
struct residency *residency_free(struct residency *residency);

/* Adds the VM's memories to those that are to be counted. -ENOMEM. */
int residency_add(struct residency *residency, const struct vm *vm);

/* Counts for no request, then calls done. */
void residency_update(struct residency *take_residency, void (*done)(void *context), void *context);

/* Fills in the result, or the error whose code it returns, with what it was told to by context. */
typedef int residency_fill(struct gmemd *gmemd, const struct caller *caller, const void *context,
	struct json_object *result, struct rpc_error *error);

/*
 * Counts, then fills the request's result in; returns what fill does, or REQUEST_DEFERRED. context
 * is copied.
 */
int residency_count(struct residency *take_residency, struct request *request, residency_fill *fill,
	const void *context, size_t size);
