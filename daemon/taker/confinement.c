/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A taker's confinement. See confinement.h.
 */
#include "daemon/taker/confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "daemon/base/call_filter.h"
#include "daemon/base/capabilities.h"

static const int allowed_calls[] = {
	/* Its socket. */
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	/* Files of another process, its threads, and its end. */
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(getdents64),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	/* What a file is. */
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(newfstatat),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(statx),
	SCMP_SYS(close),
	/* Memory. */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	/* What libc asks for. */
	SCMP_SYS(futex),
	SCMP_SYS(geteuid),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	/* The end. */
	SCMP_SYS(exit_group),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
};

static const struct call_condition conditions[] = {
	{SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)},
	CALL_MMAP_NOT_EXECUTABLE,
};

int taker_confinement_enter(void)
{
	int r = capabilities_keep(CAP_SYS_PTRACE);

	if (r < 0)
		return r;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return call_filter_enter(allowed_calls, sizeof allowed_calls / sizeof *allowed_calls,
		conditions, sizeof conditions / sizeof *conditions);
}
