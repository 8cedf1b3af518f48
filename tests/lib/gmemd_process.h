/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A gmemd of a program's own: started in a new directory, ended with all that it left there.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct gmemd_process {
	pid_t pid;
	char directory[32];
	char socket[64];
	const char *backend;
};

/*
 * Returns when it serves. Prints its log where it doesn't. backend as of --backend; config is the
 * text of its configuration file. It dies with the caller. 0 or a negative errno.
 */
int gmemd_process_start(
	const char *program, const char *backend, const char *config, struct gmemd_process *ret);
/* Kill it alone, or with its keeper, and wait for its end. */
void gmemd_process_kill(struct gmemd_process *process);
void gmemd_process_kill_both(struct gmemd_process *process);
/* Starts another in the place of one that was killed, and doesn't wait until it serves. */
int gmemd_process_launch(const char *program, struct gmemd_process *process);
/* Until it serves. Prints its log where it doesn't. */
int gmemd_process_await(struct gmemd_process *process);
/* Kills it, with its keeper if that is wanted, and starts another in its place. */
int gmemd_process_restart(const char *program, struct gmemd_process *process, bool with_keeper);
/* Its keeper; -1 where there is none. */
pid_t gmemd_process_keeper(const struct gmemd_process *process);
/* With its keeper. */
void gmemd_process_end(struct gmemd_process *process);
