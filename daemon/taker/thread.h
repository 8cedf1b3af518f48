/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads of another process. Where its first thread has ended, the process lives on with the
 * others, and what is asked of the process by its number is answered as if it had ended.
 */
#pragma once

#include <sys/types.h>

/* What is looked at; the pidfd is the process's identity, its number may be another's by now. */
struct taker_process {
	pid_t number;
	int pidfd;
};

/* With a pidfd of the thread. -ESRCH where the thread has none of what is looked for. */
typedef int taker_thread_visit(pid_t thread, int pidfd, void *context);

/*
 * Visits one living thread of the process after another until one returns something else than
 * -ESRCH, which is returned; -ESRCH where none does, or the process has ended meanwhile, so that
 * whatever was seen is not to be believed.
 */
int taker_threads_visit(
	const struct taker_process *process, taker_thread_visit *visit, void *context);
