/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How bad memory pressure is. See pressure_level.h.
 */
#include "daemon/report/pressure_level.h"

#include "protocol/methods.h"

const char *pressure_level_name(enum pressure_level level)
{
	return pressure_level_names[level];
}
