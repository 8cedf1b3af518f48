/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refusals: what an auditor wants to know of requests that were not to be.
 */
#pragma once

#include "daemon/request/request.h"

/* Notes the error of a request where it is one: not permitted, or beyond a budget or a limit. */
void refusal_note(struct gmemd *gmemd, const struct caller *caller, const char *method,
	const struct rpc_error *error);
