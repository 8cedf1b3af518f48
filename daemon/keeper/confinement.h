/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the keeper takes from the host at its start, and what it gives up then.
 *
 * It raises how many files it may hold and asks the kernel to kill others first when memory runs
 * out. Then it has no capability and can gain no privilege, and its seccomp filter leaves it what
 * holding fds takes: its sockets, its memory, removing its own socket, ending. It can't open a
 * file, run a program or make a process. Any other call fails with EPERM, for a keeper that ends
 * takes its fds with it. A build with sanitizers has no filter: they need more.
 */
#pragma once

#include <stddef.h>

/* Up to the hard limit. Returns how many files that is. */
size_t confinement_raise_files(void);

/* As far as is permitted, which may be not at all. */
void confinement_avoid_oom(void);

/* For good. Returns 0 or a negative errno. */
int confinement_enter(void);
