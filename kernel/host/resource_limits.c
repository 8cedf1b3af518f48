/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resource limits. See resource_limits.h.
 */
#include "kernel/host/resource_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

/* A thread that can have no stack is EAGAIN, too. */
static const struct {
	int error;
	__rlimit_resource_t resource;
	const char *name;
} limits[] = {
	{EMFILE, RLIMIT_NOFILE, "RLIMIT_NOFILE"},
	{EAGAIN, RLIMIT_NPROC, "RLIMIT_NPROC"},
	{EAGAIN, RLIMIT_AS, "RLIMIT_AS"},
	{EAGAIN, RLIMIT_DATA, "RLIMIT_DATA"},
	{ENOMEM, RLIMIT_AS, "RLIMIT_AS"},
	{ENOMEM, RLIMIT_DATA, "RLIMIT_DATA"},
	{ENOMEM, RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"},
	{EPERM, RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"},
	{EFBIG, RLIMIT_FSIZE, "RLIMIT_FSIZE"},
};

void limits_behind(int error, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < sizeof limits / sizeof *limits && used < size; i++) {
		struct rlimit limit;

		if (limits[i].error != error || getrlimit(limits[i].resource, &limit) < 0 ||
			limit.rlim_cur == RLIM_INFINITY)
			continue;
		used += (size_t)snprintf(ret + used, size - used, "; %s is %" PRIuMAX,
			limits[i].name, (uintmax_t)limit.rlim_cur);
	}
}
