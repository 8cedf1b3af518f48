/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocator processes: starting the program that allocates. What else is done with one is what is
 * done with any helper.
 */
#pragma once

#include "daemon/base/helper_process.h"

/* What it inherits; borrowed. */
struct allocator_files {
	int state;
	int memory;
	int entrance; /* or -1 */
};

/*
 * Starts the program (NULL: see struct helper_program) with these files and the standard ones. The
 * caller owns the pidfd and is to wait for it. Errors are helper_process_start()'s.
 */
int allocator_process_start(
	const char *program, const struct allocator_files *files, int *ret_pidfd);
