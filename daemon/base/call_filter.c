/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filter of system calls. See call_filter.h.
 */
#include "daemon/base/call_filter.h"

#include <errno.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static int allow_calls(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		/* A negative number is a call that this architecture doesn't have. */
		if (calls[i] >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	}
	return r;
}

static int allow_conditions(
	scmp_filter_ctx filter, const struct call_condition *conditions, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, conditions[i].call, 1, conditions[i].argument);
	return r;
}

int call_filter_enter(const int *calls, size_t n_calls, const struct call_condition *conditions,
	size_t n_conditions)
{
	scmp_filter_ctx filter;
	int r;

	if (SANITIZED)
		return 0;
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	r = allow_calls(filter, calls, n_calls);
	if (r == 0)
		r = allow_conditions(filter, conditions, n_conditions);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
