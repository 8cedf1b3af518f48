/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A deadline for a system call that may wait for ever and has no timeout of its own: a timer whose
 * signal interrupts it. One at a time in a process, in the thread that started the first.
 *
 * It uses SIGRTMAX.
 */
#pragma once

/*
 * From now on this thread's blocking calls fail with EINTR, some milliseconds after they began.
 * Returns 0 or a negative errno.
 */
int deadline_start(void);
/* Leaves errno as it is. */
void deadline_stop(void);
