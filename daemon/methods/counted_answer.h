/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that tell how many pages memories have: the request waits until they are counted.
 */
#pragma once

#include "daemon/request/request.h"
#include "daemon/vm/page_count.h"

/* Fills in the result, or the error whose code it returns, with what it was told to by context. */
typedef int counted_fill(struct gmemd *gmemd, const struct caller *caller, const void *context,
	struct json_object *result, struct rpc_error *error);

/*
 * Counts, then fills the request's result in; returns what fill does, or REQUEST_DEFERRED. context
 * is copied.
 */
int request_answer_counted(struct request *request, struct page_count *take_count,
	counted_fill *fill, const void *context, size_t size);
