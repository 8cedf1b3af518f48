/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deferrals: answers that are not known yet when the handler returns.
 *
 * A handler defers its request and returns REQUEST_DEFERRED; whoever has the deferral answers it
 * later, once. Its caller may be gone by then, which is no concern of who answers. A caller whose
 * answers must come in order is not read meanwhile; a batch goes on with its next request when it
 * is answered.
 */
#pragma once

#include "daemon/request/request.h"

/* What a handler returns then. */
#define REQUEST_DEFERRED 1

enum deferral_order {
	DEFERRAL_IN_ORDER, /* before the answer to what the caller asks next */
	DEFERRAL_WHENEVER, /* when it is done */
};

/*
 * gone, which may be NULL, is called with the context where the caller goes away before the answer;
 * the deferral must still be answered. NULL without memory.
 */
struct deferral *request_defer(struct request *request, enum deferral_order order,
	void (*gone)(void *context), void *context);

/* From now on gone is not called: what it would end has ended. */
void deferral_ending(struct deferral *deferral);

/* Its caller, NULL where that is gone. */
const struct caller *deferral_caller(const struct deferral *deferral);
/* A notification to the caller, before the answer. */
void deferral_notify(
	struct deferral *deferral, const char *method, struct json_object *take_params);
void deferral_answer(struct deferral *take_deferral, struct json_object *take_result);
/* With the whole message, NULL for none, and its files. */
void deferral_answer_message(
	struct deferral *take_deferral, struct json_object *take_message, struct fd_list *take_fds);
/* The error is cleared. */
void deferral_refuse(struct deferral *take_deferral, struct rpc_error *error);

/* It is not answered, and holds its caller no more; whoever dissolves it lets that go on. */
void deferral_dissolve(struct deferral *take_deferral);

/* To be called when the caller goes away. */
void deferrals_abandon(struct caller *caller);
