/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why gmemd can't start: always one error in the log, with what has to be changed.
 */
#pragma once

/*
 * To be called by whoever finds that a step of the start has failed. Logs what and why: r, a
 * negative errno, and the limit that is behind it, where one can be; nothing where the step itself
 * has logged an error. Returns r.
 */
int start_failed(const char *what, int r);
