/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * To be preloaded into FAILURE_PROGRAM: tells that it is loaded. See failure.h.
 */
#include <stddef.h>

#include "tests/failing/failure.h"

__attribute__((constructor)) static void begin(void)
{
	struct failure *failure = failure_map_of_program();

	if (failure)
		failure->process = (uint32_t)getpid();
}
