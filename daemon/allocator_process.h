/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocator processes: starting the helper program, ending it, what became of it.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* What it inherits; borrowed. */
struct allocator_files {
	int state;
	int memory;
	int entrance; /* or -1 */
};

/*
 * Starts the program (NULL: the one beside this process's own, else the installed one) with these
 * files, the standard ones and no others, no environment and no signal blocked or handled. The
 * caller owns the pidfd and is to wait for it. -ENOENT where there is no such program.
 */
int allocator_process_start(
	const char *program, const struct allocator_files *files, int *ret_pidfd);

/* Kills it. What it was doing stops at the next page. */
void allocator_process_kill(int pidfd);

/* Waits milliseconds for its end; -1 for ever. */
bool allocator_process_wait(int pidfd, int milliseconds);

/* Takes note that it has ended, which it must have. Returns the signal that killed it, else 0. */
int allocator_process_reap(int pidfd);
