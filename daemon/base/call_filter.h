/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filter that leaves a process the system calls that it needs. Any other fails with EPERM.
 */
#pragma once

#include <seccomp.h>
#include <stddef.h>

/* A call that is allowed where an argument is as it says. */
struct call_condition {
	int call;
	struct scmp_arg_cmp argument;
};

/* One that can't make memory executable. */
#define CALL_MMAP_NOT_EXECUTABLE                                                                   \
	{                                                                                          \
		SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)                          \
	}

/* For good. Calls by their numbers; those that this architecture doesn't have are left out. A build
 * with sanitizers, which need more, has no filter. Returns 0 or a negative errno. */
int call_filter_enter(const int *calls, size_t n_calls, const struct call_condition *conditions,
	size_t n_conditions);
