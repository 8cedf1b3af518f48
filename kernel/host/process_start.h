/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process inherits, set right at its start: before it opens anything and before it has
 * threads.
 *
 * Signal mask and dispositions, open files and the umask outlive execve(2), and whoever starts a
 * program may have any: a thread of a runtime that blocks signals, a parent that ignores SIGCHLD, a
 * shell that closes stderr.
 *
 *  - Standard files that are closed are /dev/null; else what is opened next would take their
 *    numbers, and be written to and read from in their place.
 *  - No signal is blocked. SIGCHLD has its default: ignored, it would take a child's end from who
 *    waits for it.
 *  - A SIGINT that is ignored stays so, for every role: a shell starts its background jobs like
 *    that. See process_may_handle().
 */
#pragma once

#include <stdbool.h>

enum process_role {
	/* Goes on whatever becomes of its terminal, of the reader of its log, or of the size that
	 * its files may have: SIGHUP, SIGTTOU, SIGPIPE and SIGXFSZ are ignored; where a call was
	 * at fault, that fails. Its umask is 022, so that nothing but the mode that it gives says
	 * who may use what it makes. */
	PROCESS_DAEMON,
	/* Ends by SIGPIPE when nobody reads what it prints. Where its stdout was closed, printing
	 * is an error, for what it prints is lost. */
	PROCESS_TOOL,
	/* What it executes inherits all this. SIGPIPE and umask are left as they are: who has
	 * chosen them has chosen them for that program. */
	PROCESS_LAUNCHER,
};

/* Returns 0 or a negative errno: of opening /dev/null. */
int process_start(enum process_role role);

/* Whether the signal was not ignored at the start, so that there may be a handler for it. To be
 * asked before one is set. */
bool process_may_handle(int number);
