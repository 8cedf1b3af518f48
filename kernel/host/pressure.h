/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pressure stall information: a file that becomes ready when tasks have waited too long for memory,
 * on the host or in a cgroup.
 *
 * Without CAP_SYS_RESOURCE a trigger's window must be a multiple of PRESSURE_WINDOW_UNIT, and the
 * kernel looks only as often; all else is -EINVAL (Linux 6.4). Before 6.4 the capability is needed
 * to open /proc/pressure/memory for writing at all, and in 6.4 and 6.5 a cgroup's file: -EPERM. A
 * cgroup's file also has to be writable by its mode.
 *
 * Functions return 0 or a negative errno and write outputs only on success. Reference:
 * Documentation/accounting/psi.rst.
 */
#pragma once

#include <stdint.h>

#define PRESSURE_OF_HOST     "/proc/pressure/memory"
#define PRESSURE_WINDOW_UNIT 2000000u  /* microseconds */
#define PRESSURE_WINDOW_MAX  10000000u /* microseconds */

/* Who waits: some tasks, or all that are not idle at once. */
enum pressure_kind { PRESSURE_SOME, PRESSURE_FULL, PRESSURE_KINDS };

/* Fires where tasks waited for longer than stall within a window, at most once in each. */
struct pressure_threshold {
	enum pressure_kind kind;
	uint32_t stall;  /* microseconds, from 1 to window */
	uint32_t window; /* microseconds */
};

struct pressure_trigger {
	int file;  /* the pressure file */
	int ready; /* readable once it has fired; it must not be read */
};

/*
 * path: PRESSURE_OF_HOST or a cgroup's memory.pressure. -ENOENT where the kernel has no PSI,
 * -EOPNOTSUPP where it is switched off, -EACCES and -EPERM as above.
 */
int pressure_trigger_open(
	const char *path, const struct pressure_threshold *threshold, struct pressure_trigger *ret);
/* The same of a trigger that is there already, such as a predecessor's: its file is consumed on
 * success. What it has told of so far it tells nobody any more. */
int pressure_trigger_take_over(int file, struct pressure_trigger *ret);
/*
 * After ready was found readable, which has used the firing up: 0, or -ENODEV where the cgroup is
 * gone and ready will be readable for ever.
 */
int pressure_trigger_check(const struct pressure_trigger *trigger);
/* Takes what is closed already, with -1 in it. */
void pressure_trigger_close(struct pressure_trigger *trigger);
