/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memories that others than their VM's process may open.
 */
#pragma once

#include "daemon/request/request.h"

struct grant;

/* The memory of that id where the caller, who may not know of its VM, was granted it. error: that
 * there is none, which stays where it was not. Returns its code, or 0; *ret_grant is NULL where a
 * predecessor has used it for this very request. */
int request_granted_memory(
	struct request *request, uint64_t id, struct memory **ret, struct grant **ret_grant);
/* Notes that the caller has the memory's file now. */
int request_use_grant(struct request *request, struct memory *memory, struct grant *grant);
