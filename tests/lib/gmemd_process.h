/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A gmemd of a program's own: started in a new directory, ended with all that it left there.
 */
#pragma once

#include <sys/types.h>

struct gmemd_process {
	pid_t pid;
	char directory[32];
	char socket[64];
};

/*
 * Returns when it serves. Prints its log where it doesn't. backend as of --backend. It dies with
 * the caller. 0 or a negative errno.
 */
int gmemd_process_start(const char *program, const char *backend, struct gmemd_process *ret);
void gmemd_process_end(struct gmemd_process *process);
