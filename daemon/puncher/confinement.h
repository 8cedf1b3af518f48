/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a puncher gives up at its start: all capabilities, the right to gain any, and, by a seccomp
 * filter, whatever it takes not to give back pages of a file that it is sent.
 */
#pragma once

/* For good. Returns 0 or a negative errno. */
int puncher_confinement_enter(void);
