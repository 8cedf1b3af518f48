/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Residency: bringing up to date how many pages memories have.
 *
 * Nothing but a count tells that of a guest_memfd, and a count takes time for each page. So where
 * memories are large the request that wants to know waits for it, and nobody else does.
 */
#pragma once

#include "daemon/request/request.h"

struct page_count;

/* Counting in the owner's turns. NULL without memory. */
struct page_count *page_count_new(struct gmemd *gmemd, struct owner *owner);
/* Takes NULL, returns NULL. */
struct page_count *page_count_free(struct page_count *count);

/* Adds the VM's memories to those that are to be counted, and its closed ones. -ENOMEM. */
int page_count_add(struct page_count *count, const struct vm *vm);
/* Its closed ones alone. -ENOMEM. */
int page_count_add_closed(struct page_count *count, const struct vm *vm);

/* Counts for no request, then calls done. */
void page_count_update(
	struct page_count *take_residency, void (*done)(void *context), void *context);

/* The same, but by the page worker however little it is: done is called later. */
void page_count_submit(struct page_count *take_count, void (*done)(void *context), void *context);

/* Fills in the result, or the error whose code it returns, with what it was told to by context. */
typedef int page_count_fill(struct gmemd *gmemd, const struct caller *caller, const void *context,
	struct json_object *result, struct rpc_error *error);

/*
 * Counts, then fills the request's result in; returns what fill does, or REQUEST_DEFERRED. context
 * is copied.
 */
int page_count_count(struct page_count *take_residency, struct request *request,
	page_count_fill *fill, const void *context, size_t size);
