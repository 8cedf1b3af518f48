/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a taker gives up at its start: all capabilities but CAP_SYS_PTRACE, which it takes files of
 * other users' processes with; the right to gain any; being looked at by others of its user; and,
 * by a seccomp filter, whatever it takes not to take files, look at them, and read of a process.
 */
#pragma once

/* For good. Returns 0 or a negative errno. */
int taker_confinement_enter(void);
