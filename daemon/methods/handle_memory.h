/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memory.create and vm.resume share.
 */
#pragma once

#include "daemon/request/request.h"

/* Fills in why memory_new() made none. */
int request_memory_error(
	struct request *request, int r, const struct budget *refused, uint64_t requested);
