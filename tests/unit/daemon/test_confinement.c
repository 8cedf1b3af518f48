/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd has given up: each stage, by trying what it must not be able to do any more, with
 * input that would do no harm.
 */
#include "daemon/start/confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/privileges.h"
#include "tests/lib/unit.h"

static long try_mount(void)
{
	return mount(NULL, NULL, NULL, 0, NULL);
}

static long try_umount(void)
{
	return umount2("/nonexistent", 0);
}

static long try_chroot(void)
{
	return chroot("/nonexistent");
}

static long try_pivot_root(void)
{
	return syscall(SYS_pivot_root, "/nonexistent", "/nonexistent");
}

static long try_unshare(void)
{
	return unshare(0);
}

static long try_setns(void)
{
	return setns(-1, 0);
}

static long try_mknod(void)
{
	return mknod("/nonexistent/node", S_IFIFO | 0600, 0);
}

static long try_module(void)
{
	return syscall(SYS_finit_module, -1, "", 0);
}

static long try_reboot(void)
{
	return syscall(SYS_reboot, 0, 0, 0, NULL); /* without its magic numbers */
}

static long try_swap(void)
{
	return swapoff("/nonexistent");
}

static long try_host_name(void)
{
	return syscall(SYS_sethostname, NULL, -1);
}

static long try_time(void)
{
	return syscall(SYS_clock_settime, 12345, NULL);
}

static long try_user(void)
{
	return setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1);
}

static long try_groups(void)
{
	return syscall(SYS_setgroups, 1 << 30, NULL);
}

static long try_trace(void)
{
	return ptrace(PTRACE_SEIZE, 0, NULL, NULL);
}

static long try_others_memory(void)
{
	return syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0);
}

static long try_bpf(void)
{
	return syscall(SYS_bpf, 12345, NULL, 0);
}

static long try_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 0, NULL);
}

static long try_keys(void)
{
	return syscall(SYS_keyctl, 12345, 0, 0, 0, 0);
}

static const struct attempt {
	const char *what;
	long (*try)(void);
} attempts[] = {
	{"mount", try_mount},
	{"umount2", try_umount},
	{"chroot", try_chroot},
	{"pivot_root", try_pivot_root},
	{"unshare", try_unshare},
	{"setns", try_setns},
	{"mknod", try_mknod},
	{"finit_module", try_module},
	{"reboot", try_reboot},
	{"swapoff", try_swap},
	{"sethostname", try_host_name},
	{"clock_settime", try_time},
	{"setresuid", try_user},
	{"setgroups", try_groups},
	{"ptrace", try_trace},
	{"process_vm_readv", try_others_memory},
	{"bpf", try_bpf},
	{"io_uring_setup", try_io_uring},
	{"keyctl", try_keys},
};

#define ATTEMPTS (sizeof attempts / sizeof *attempts)

static bool is_denied(const struct attempt *attempt)
{
	errno = 0;
	return attempt->try() < 0 && errno == EPERM;
}

/* Which of them something else denies here, a container's own filter say. */
static bool denied_before[ATTEMPTS];

static void *try_in_thread(void *context)
{
	(void)context;
	for (size_t i = 0; i < ATTEMPTS; i++)
		UNIT_ASSERT_ROW(is_denied(&attempts[i]), "%s in a thread", attempts[i].what);
	return NULL;
}

static void run_true(void)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
}

/* What it works with. */
static void work(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC), pidfd = pidfd_open(getpid(), 0);

	CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	CU_ASSERT_TRUE(pidfd >= 0);
	close(fd);
	close(pidfd);
	run_true();
}

static void confined(void *context)
{
	pthread_t thread;
	size_t newly = 0;

	(void)context;
	for (size_t i = 0; i < ATTEMPTS; i++)
		denied_before[i] = is_denied(&attempts[i]);
	CU_ASSERT_EQUAL_FATAL(gmemd_confinement_enter(), 0);
	for (size_t i = 0; i < ATTEMPTS; i++) {
		newly += !denied_before[i];
		UNIT_ASSERT_ROW(is_denied(&attempts[i]), "%s", attempts[i].what);
	}
	CU_ASSERT_TRUE(newly > 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, try_in_thread, NULL), 0);
	pthread_join(thread, NULL);
	work();
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void test_calls(void)
{
	if (SANITIZED)
		unit_skip("a build with sanitizers has no filter");
	else
		unit_in_child(confined, NULL);
}

static void without_capabilities(void *context)
{
	(void)context;
	CU_ASSERT_EQUAL_FATAL(privileges_give_up(), 0);
	CU_ASSERT_EQUAL(chroot("/"), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_EQUAL(try_host_name(), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_EQUAL(unshare(CLONE_NEWUTS), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_EQUAL(setgroups(0, NULL), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
}

static void test_capabilities(void)
{
	if (geteuid() != 0)
		unit_skip("only root has capabilities to give up");
	else
		unit_in_child(without_capabilities, NULL);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"the first stage: capabilities", test_capabilities},
		{"the second stage: system calls", test_calls},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{"gmemd's confinement", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
