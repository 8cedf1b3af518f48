/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper's confinement. See confinement.h.
 */
#include "daemon/keeper/confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/call_filter.h"
#include "daemon/base/capabilities.h"
#include "kernel/base/cleanup.h"

/* More is of no use, and a table of them would take memory. */
#define FILES_MAX (1u << 20)

#define OOM_SCORE_MIN (-1000)

size_t confinement_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < limit.rlim_max && limit.rlim_cur < FILES_MAX) {
		limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur < FILES_MAX ? limit.rlim_cur : FILES_MAX;
}

void confinement_avoid_oom(void)
{
	cleanup_fd int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char text[16] = "";
	int score;

	if (fd < 0 || pread(fd, text, sizeof text - 1, 0) <= 0 || sscanf(text, "%d", &score) != 1)
		return;
	/* How low one without CAP_SYS_RESOURCE may go can't be asked. */
	for (int wanted = OOM_SCORE_MIN; wanted < score; wanted += 50) {
		if (dprintf(fd, "%d", wanted) > 0)
			return;
	}
}

static const int allowed_calls[] = {
	/* Its sockets. A notification to the service manager has one of its own; see below. */
	SCMP_SYS(accept4),
	SCMP_SYS(close),
	SCMP_SYS(getsockopt),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(setsockopt),
	/* Signals. */
	SCMP_SYS(timer_settime),
	SCMP_SYS(read),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	/* Memory. */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	/* What libc asks for. */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(fstat),
	SCMP_SYS(futex),
	SCMP_SYS(getegid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getuid),
	SCMP_SYS(newfstatat),
	/* The end. */
	SCMP_SYS(exit_group),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(write),
};

static const struct call_condition conditions[] = {
	{SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX)},
	CALL_MMAP_NOT_EXECUTABLE,
};

int confinement_enter(void)
{
	int r = capabilities_give_up();

	if (r < 0)
		return r;
	return call_filter_enter(allowed_calls, sizeof allowed_calls / sizeof *allowed_calls,
		conditions, sizeof conditions / sizeof *conditions);
}
