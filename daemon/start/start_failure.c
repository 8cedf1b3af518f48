/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why gmemd can't start. See start_failure.h.
 */
#include "daemon/start/start_failure.h"

#include <string.h>

#include "daemon/base/log.h"
#include "kernel/host/resource_limits.h"

int start_failed(const char *what, int r)
{
	char behind[160];

	if (log_has_error())
		return r;
	limits_behind(-r, behind, sizeof behind);
	log_error("%s: %s%s", what, strerror(-r), behind);
	return r;
}
