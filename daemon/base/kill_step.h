/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps: places at which a test has gmemd killed.
 *
 * With the build option kill-steps, GMEMD_KILL_STEP in gmemd's environment names a file: its first
 * line is a label, its second a number N. gmemd kills itself with SIGKILL when it comes to that
 * label for the Nth time since the file is there. It appends each label that it comes to to the
 * file that GMEMD_LOG_STEPS names. Without the option a step is nothing. A label is "what: where it
 * is in that"; each is at one place.
 */
#pragma once

#ifdef GMEMD_KILL_STEPS
void step_reached(const char *label);
#define STEP(label) step_reached(label)
#else
#define STEP(label) ((void)0)
#endif
