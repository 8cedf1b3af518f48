/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How bad memory pressure on the host is.
 */
#pragma once

enum pressure_level {
	PRESSURE_LEVEL_NONE,
	PRESSURE_LEVEL_LOW,      /* below the floor */
	PRESSURE_LEVEL_MEDIUM,   /* below half of it */
	PRESSURE_LEVEL_CRITICAL, /* below a quarter of it */
	PRESSURE_LEVELS,
};

/* none, low, medium, critical. */
const char *pressure_level_name(enum pressure_level level);
