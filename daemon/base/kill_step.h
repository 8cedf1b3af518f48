/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps: places at which a test has gmemd killed.
 *
 * With the build option kill-steps, a gmemd whose environment names a file as GMEMD_KILL_STEP kills
 * itself with SIGKILL when it reaches the label in the file's first line for the Nth time since it
 * was there, N being in the second; each label that it reaches it appends to the file that
 * GMEMD_LOG_STEPS names. Without the option a step is nothing. A label is "what: where it is in
 * that"; each is at one place.
 */
#pragma once

#ifdef GMEMD_KILL_STEPS
void step_reached(const char *label);
#define STEP(label) step_reached(label)
#else
#define STEP(label) ((void)0)
#endif
