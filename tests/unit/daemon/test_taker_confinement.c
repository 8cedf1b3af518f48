/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd-taker can't do, by trying it in a process that has confined itself as one.
 */
#include "daemon/taker/confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/unit.h"

static long try_write_open(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY | O_CLOEXEC, 0);
}

static long try_create(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/nonexistent/file", O_RDONLY | O_CREAT, 0600);
}

static long try_write(void)
{
	return syscall(SYS_write, -1, "", 0);
}

static long try_unlink(void)
{
	return syscall(SYS_unlink, "/nonexistent/file");
}

static long try_socket(void)
{
	return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static long try_connect(void)
{
	return syscall(SYS_connect, -1, NULL, 0);
}

static long try_execute(void)
{
	return syscall(SYS_execve, "/nonexistent", NULL, NULL);
}

static long try_fork(void)
{
	/* Flags that go with each other nowhere: without a filter it makes nothing, too. */
	return syscall(SYS_clone, CLONE_SIGHAND, NULL, NULL, NULL, NULL);
}

static long try_signal(void)
{
	return syscall(SYS_kill, getpid(), 0);
}

static long try_trace(void)
{
	return syscall(SYS_ptrace, PTRACE_SEIZE, 0, NULL, NULL);
}

static long try_others_memory(void)
{
	return syscall(SYS_process_vm_writev, getpid(), NULL, 0, NULL, 0, 0);
}

static long try_executable(void)
{
	return syscall(
		SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long try_mprotect(void)
{
	return syscall(SYS_mprotect, NULL, 0, PROT_EXEC);
}

static long try_ioctl(void)
{
	return syscall(SYS_ioctl, -1, 0, 0);
}

static long try_mount(void)
{
	return syscall(SYS_mount, NULL, NULL, NULL, 0, NULL);
}

static long try_user(void)
{
	return syscall(SYS_setresuid, -1, -1, -1);
}

static const struct attempt {
	const char *what;
	long (*try)(void);
} attempts[] = {
	{"opening for writing", try_write_open},
	{"creating a file", try_create},
	{"writing", try_write},
	{"deleting a file", try_unlink},
	{"making a socket", try_socket},
	{"connecting", try_connect},
	{"executing", try_execute},
	{"forking", try_fork},
	{"sending a signal", try_signal},
	{"tracing", try_trace},
	{"writing to another's memory", try_others_memory},
	{"mapping executable memory", try_executable},
	{"making memory executable", try_mprotect},
	{"an ioctl", try_ioctl},
	{"mounting", try_mount},
	{"changing the user", try_user},
};

#define ATTEMPTS (sizeof attempts / sizeof *attempts)

/* What came of it, told by shared memory: who is confined can write nothing. */
struct outcome {
	int entered;
	bool denied[ATTEMPTS];
	bool works;
};

static bool is_denied(const struct attempt *attempt)
{
	errno = 0;
	return attempt->try() < 0 && errno == EPERM;
}

/* What the filter must not deny. */
static bool works(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	char byte;

	return fd >= 0 && syscall(SYS_read, fd, &byte, 1) == 1 && syscall(SYS_close, fd) == 0 &&
	       syscall(SYS_pidfd_getfd, -1, 0, 0) < 0 && errno == EBADF;
}

static void confine(struct outcome *outcome)
{
	outcome->entered = taker_confinement_enter();
	for (size_t i = 0; i < ATTEMPTS; i++)
		outcome->denied[i] = is_denied(&attempts[i]);
	outcome->works = works();
	_exit(EXIT_SUCCESS);
}

static void check_outcome(const struct outcome *outcome)
{
	CU_ASSERT_EQUAL(outcome->entered, 0);
	for (size_t i = 0; i < ATTEMPTS; i++)
		UNIT_ASSERT_ROW(outcome->denied[i], "%s", attempts[i].what);
	CU_ASSERT_TRUE(outcome->works);
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void test_attempts(void)
{
	struct outcome *outcome = mmap(
		NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t pid;

	if (SANITIZED) {
		unit_skip("a build with sanitizers has no filter");
		return;
	}
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(outcome, MAP_FAILED);
	pid = fork();
	if (pid == 0)
		confine(outcome);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	check_outcome(outcome);
	munmap(outcome, sizeof *outcome);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"what it can't do", test_attempts},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{"a taker's confinement", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
