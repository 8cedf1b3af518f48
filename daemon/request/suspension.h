/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Suspensions: a request that waits for what it needs, and is carried out again from its beginning
 * then. It has changed nothing meanwhile, so its caller may go, and gmemd end.
 */
#pragma once

#include "daemon/request/request.h"

struct suspension {
	const struct server *server;
	struct gmemd *gmemd;
	struct caller *caller; /* there, or gone() was called */
	struct json_object *message;
	struct batch *batch;
	struct numbered_request numbered;
	struct deferred_answer *deferred; /* to be answered */
};

/* REQUEST_DEFERRED, or the code of the error that it filled in. gone: as of request_defer(). */
int suspension_begin(struct suspension *suspension, struct request *request,
	void (*gone)(void *context), void *context);
/* The request, to be filled in with what it has waited for, and served then. */
struct request suspension_request(const struct suspension *suspension);
/* Carries it out, unless the caller is gone. The suspension is to be cleared then. */
void suspension_serve(struct suspension *suspension, struct request *request);
/* The caller is gone: the deferred answer is answered so. */
void suspension_caller_gone(struct suspension *suspension);
/* Once it is answered. One that was not begun may be all zeroes. */
void suspension_clear(struct suspension *suspension);
