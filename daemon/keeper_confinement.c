/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper's confinement. See keeper_confinement.h.
 */
#include "daemon/keeper_confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/capabilities.h"
#include "kernel/cleanup.h"

/* More is of no use, and a table of them would take memory. */
#define FILES_MAX (1u << 20)

#define OOM_SCORE_MIN (-1000)

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

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

static int allow(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof allowed_calls / sizeof *allowed_calls; i++) {
		/* A negative number is a call that this architecture doesn't have. */
		if (allowed_calls[i] >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
	}
	if (r == 0)
		r = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = allow(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int confinement_enter(void)
{
	int r = capabilities_give_up();

	if (r < 0)
		return r;
	return SANITIZED ? 0 : filter_calls();
}
