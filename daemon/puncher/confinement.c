/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A puncher's confinement. See confinement.h.
 */
#include "daemon/puncher/confinement.h"

#include <sys/mman.h>

#include "daemon/base/call_filter.h"
#include "daemon/base/capabilities.h"
#include "kernel/base/uapi.h"

static const int allowed_calls[] = {
	/* Its socket, and the files that come by it. */
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(close),
	/* Pages. libseccomp 2.5 has no name for cachestat(2), which is Linux 6.5's. */
	SCMP_SYS(fallocate),
	__NR_cachestat,
	/* Huge ones, which it does not know; and a mapping that none can touch reserves them. */
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(munmap),
	/* Signals that stop it, and let it go on. */
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	/* The end. */
	SCMP_SYS(exit_group),
};

static const struct call_condition conditions[] = {
	{SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_EQ, PROT_NONE)},
};

int puncher_confinement_enter(void)
{
	int r = capabilities_give_up();

	if (r < 0)
		return r;
	return call_filter_enter(allowed_calls, sizeof allowed_calls / sizeof *allowed_calls,
		conditions, sizeof conditions / sizeof *conditions);
}
