/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Helper processes: the programs that gmemd starts beside itself, their ends, what became of them.
 *
 * One is told by its pidfd, which whoever has started it owns, and who waits for its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What one is started with. */
struct helper_program {
	const char *name; /* its file's, without a path */
	const char *path; /* NULL: beside this process's own program, else where it is installed */
	/* Where that is; NULL: GMEMD_LIBEXECDIR. */
	const char *folder;
	/* They end with NULL; NULL: its name alone. */
	char *const *arguments;
	/* Whether it has this process's standard files, too. Else they are /dev/null. */
	bool standard_files;
	/* Whether it is to outlive this process: in a session of its own, with this one's
	 * environment and stderr. */
	bool outlives;
};

/* The first number after those of the standard files. */
#define HELPER_FIRST_FILE 3

/*
 * Has room, for good, for the files of helpers at low numbers: starting one takes as long as
 * copying what lies below them, so whoever has many files does this early. The first start does it
 * at the latest. -EMFILE.
 */
int helper_process_reserve(void);

/*
 * Starts it with those files, from HELPER_FIRST_FILE on in their order, and with no others; with no
 * environment unless it outlives this process, no signal blocked or handled. The files stay the
 * caller's. -ENOENT where there is no such program.
 */
int helper_process_start(
	const struct helper_program *program, const int *files, size_t count, int *ret_pidfd);
/* The same; it is told by its pid, until it has been waited for. */
int helper_process_spawn(
	const struct helper_program *program, const int *files, size_t count, pid_t *ret_pid);

/* Kills it. */
void helper_process_kill(int pidfd);

/* Waits milliseconds for its end; -1 for ever. */
bool helper_process_wait(int pidfd, int milliseconds);

/* How it has ended, which it must have: by a signal, or with a status. Where nobody can find out
 * any more, with status 0. */
struct helper_end {
	int signal;
	int status;
};
struct helper_end helper_process_reap(int pidfd);
