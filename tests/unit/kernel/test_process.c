/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other processes: who is at the other end of a socket, whether it still lives, what its
 * descriptors are.
 */
#include "kernel/host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define UNPRIVILEGED_ID 65534

/* A listening socket and a child that has connected to it and waits for the end of the
 * connection. */
struct meeting {
	struct sockaddr_un address;
	socklen_t length;
	int listening;
	int accepted;
	struct unit_child child;
	uid_t become; /* 0: stay */
};

static void connect_and_wait(void *context)
{
	struct meeting *meeting = context;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char byte;

	close(meeting->listening);
	if (meeting->become > 0) {
		CU_ASSERT_EQUAL(setresgid(meeting->become, meeting->become, meeting->become), 0);
		CU_ASSERT_EQUAL(setresuid(meeting->become, meeting->become, meeting->become), 0);
	}
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&meeting->address, meeting->length), 0);
	(void)!read(fd, &byte, 1);
	close(fd);
}

/* In the abstract name space, at a name of the kernel's choice: nothing is left behind. */
static void meet(struct meeting *meeting)
{
	meeting->address.sun_family = AF_UNIX;
	meeting->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(
		bind(meeting->listening, (struct sockaddr *)&meeting->address, sizeof(sa_family_t)),
		0);
	meeting->length = sizeof meeting->address;
	getsockname(meeting->listening, (struct sockaddr *)&meeting->address, &meeting->length);
	CU_ASSERT_EQUAL_FATAL(listen(meeting->listening, 1), 0);
	unit_child_start(&meeting->child, connect_and_wait, meeting);
	meeting->accepted = accept4(meeting->listening, NULL, NULL, SOCK_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(meeting->accepted >= 0);
	close(meeting->listening);
}

static void test_of_socket(void)
{
	size_t before = unit_open_fds();
	struct meeting meeting = {.become = 0};
	struct process process;

	meet(&meeting);
	CU_ASSERT_EQUAL_FATAL(process_of_socket(meeting.accepted, &process), 0);
	CU_ASSERT_EQUAL(process.pid, meeting.child.pid);
	CU_ASSERT_EQUAL(process.uid, getuid());
	CU_ASSERT_EQUAL(process.gid, getgid());
	CU_ASSERT_EQUAL(fcntl(process.pidfd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_FALSE(process_ended(process.pidfd));
	close(meeting.accepted);
	unit_child_end(&meeting.child, 0);
	CU_ASSERT_TRUE(process_ended(process.pidfd));
	process_release(&process);
	CU_ASSERT_EQUAL(process.pidfd, -1);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static void test_of_socket_of_another_user(void)
{
	struct meeting meeting = {.become = UNPRIVILEGED_ID};
	struct process process;

	if (getuid() != 0) {
		unit_skip("not permitted to become another user");
		return;
	}
	meet(&meeting);
	CU_ASSERT_EQUAL_FATAL(process_of_socket(meeting.accepted, &process), 0);
	CU_ASSERT_EQUAL(process.uid, UNPRIVILEGED_ID);
	CU_ASSERT_EQUAL(process.gid, UNPRIVILEGED_ID);
	process_release(&process);
	close(meeting.accepted);
	unit_child_end(&meeting.child, 0);
}

/* Some kernels still know who it was; then it has ended. */
static void test_of_socket_of_the_dead(void)
{
	struct meeting meeting = {.become = 0};
	struct process process;
	int r;

	meet(&meeting);
	kill(meeting.child.pid, SIGKILL);
	unit_child_end(&meeting.child, SIGKILL);
	r = process_of_socket(meeting.accepted, &process);
	CU_ASSERT_TRUE(r == 0 || r == -ESRCH);
	if (r == 0) {
		CU_ASSERT_TRUE(process_ended(process.pidfd));
		process_release(&process);
	}
	close(meeting.accepted);
}

static void test_of_no_socket(void)
{
	struct process process = {.pid = 77, .pidfd = -77};
	cleanup_fd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(process_of_socket(fd, &process), -ENOTSOCK);
	CU_ASSERT_EQUAL(process_of_socket(-1, &process), -EBADF);
	CU_ASSERT_EQUAL(process.pid, 77);
	CU_ASSERT_EQUAL(process.pidfd, -77);
}

/* A zombie has ended, though nobody has waited for it. */
static void test_ended(void)
{
	cleanup_fd int pidfd = -1, own = pidfd_open(getpid(), 0);
	struct pollfd event = {.events = POLLIN};
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	pidfd = pidfd_open(child, 0);
	CU_ASSERT_TRUE_FATAL(pidfd >= 0);
	CU_ASSERT_FALSE(process_ended(own));
	CU_ASSERT_FALSE(process_ended(pidfd));
	kill(child, SIGKILL);
	event.fd = pidfd;
	CU_ASSERT_EQUAL(poll(&event, 1, 10000), 1);
	CU_ASSERT_TRUE(process_ended(pidfd));
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	CU_ASSERT_TRUE(process_ended(pidfd));
}

static void *thread_run(void *context)
{
	*(pid_t *)context = gettid();
	return NULL;
}

static void test_has_thread(void)
{
	pthread_t thread;
	pid_t ended = 0;

	CU_ASSERT_TRUE(process_has_thread(getpid(), gettid()));
	CU_ASSERT_FALSE(process_has_thread(getpid(), getppid()));
	CU_ASSERT_FALSE(process_has_thread(getppid(), getpid()));
	CU_ASSERT_FALSE(process_has_thread(getpid(), 0));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, thread_run, &ended), 0);
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(ended > 0);
	CU_ASSERT_FALSE(process_has_thread(getpid(), ended));
}

static void test_file_target(void)
{
	static const char wanted[] = "/dev/null";
	cleanup_fd int fd = open(wanted, O_RDONLY | O_CLOEXEC);
	char target[PATH_MAX];

	CU_ASSERT_EQUAL(process_file_target(getpid(), fd, target, sizeof target), 0);
	CU_ASSERT_STRING_EQUAL(target, wanted);
	CU_ASSERT_EQUAL(process_file_target(getpid(), 999999, target, sizeof target), -ENOENT);
	/* What just fits with its NUL, and what does not. */
	CU_ASSERT_EQUAL(process_file_target(getpid(), fd, target, sizeof wanted), 0);
	CU_ASSERT_STRING_EQUAL(target, wanted);
	CU_ASSERT_EQUAL(
		process_file_target(getpid(), fd, target, sizeof wanted - 1), -ENAMETOOLONG);
}

static void test_file_target_of_another(void)
{
	struct meeting meeting = {.become = 0};
	char target[PATH_MAX];

	meet(&meeting);
	CU_ASSERT_EQUAL(
		process_file_target(meeting.child.pid, 999999, target, sizeof target), -ENOENT);
	CU_ASSERT_EQUAL(process_file_target(meeting.child.pid, 0, target, sizeof target), 0);
	close(meeting.accepted);
	unit_child_end(&meeting.child, 0);
	CU_ASSERT_EQUAL(process_file_target(meeting.child.pid, 0, target, sizeof target), -ENOENT);
}

/* Identities */

static uint64_t identity_of(int pidfd, pid_t pid)
{
	uint64_t identity = 0;

	CU_ASSERT_EQUAL(process_identity(pidfd, pid, &identity), 0);
	CU_ASSERT_TRUE(identity > 0);
	return identity;
}

static void test_identity(void)
{
	cleanup_fd int one = pidfd_open(getpid(), 0), same = pidfd_open(getpid(), 0);
	cleanup_fd int other = pidfd_open(getppid(), 0);
	uint64_t identity = 0;
	pid_t pid = 0;

	CU_ASSERT_EQUAL(process_of_pidfd(one, /* pid= */ 1, &pid, &identity), 0);
	CU_ASSERT_TRUE(pid == getpid() && identity == identity_of(one, getpid()));
	CU_ASSERT_EQUAL(identity_of(one, getpid()), identity_of(same, getpid()));
	CU_ASSERT_NOT_EQUAL(identity_of(one, getpid()), identity_of(other, getppid()));
	CU_ASSERT_EQUAL(process_pid(one, &pid), 0);
	CU_ASSERT_EQUAL(pid, getpid());
	CU_ASSERT_EQUAL(process_pid(other, &pid), 0);
	CU_ASSERT_EQUAL(pid, getppid());
}

/* As before Linux 6.9, where pidfds have no file system of their own. */
static void test_identity_without_inodes(void)
{
	cleanup_fd int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t own = identity_of(none, getpid());
	uint64_t identity = 0;
	pid_t pid = 0;

	CU_ASSERT_EQUAL(identity_of(none, getpid()), own);
	CU_ASSERT_NOT_EQUAL(identity_of(none, getppid()), own);
	CU_ASSERT_EQUAL(process_identity(none, INT_MAX, &identity), -ESRCH);
	CU_ASSERT_EQUAL(process_identity(-1, getpid(), &identity), -EBADF);
	CU_ASSERT_EQUAL(process_of_pidfd(-1, getpid(), &pid, &identity), -EBADF);
	CU_ASSERT_EQUAL(process_of_pidfd(none, getpid(), &pid, &identity), 0);
	CU_ASSERT_TRUE(pid == getpid() && identity == own);
}

static void test_identity_of_the_dead(void)
{
	pid_t child = fork(), pid = 0;
	cleanup_fd int pidfd = -1;
	uint64_t before;

	if (child == 0) {
		pause();
		_exit(0);
	}
	pidfd = pidfd_open(child, 0);
	before = identity_of(pidfd, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	CU_ASSERT_EQUAL(identity_of(pidfd, child), before);
	CU_ASSERT_EQUAL(process_pid(pidfd, &pid), -ESRCH);
	CU_ASSERT_EQUAL(pid, 0);
}

/* Main threads that end before others */

static void *wait_for_ever(void *context)
{
	(void)context;
	for (;;)
		pause();
	return NULL;
}

static void end_main_thread(void *context)
{
	pthread_t thread;

	(void)context;
	if (pthread_create(&thread, NULL, wait_for_ever, NULL) == 0)
		syscall(SYS_exit, 0);
}

static void await_zombie(pid_t process, pid_t thread)
{
	for (unsigned i = 0; i < 6000 && process_thread_lives(process, thread); i++)
		usleep(10000);
	CU_ASSERT_FALSE(process_thread_lives(process, thread));
}

static void test_living_thread(void)
{
	struct unit_child child;
	pid_t thread = 0, first;
	struct process process = {.pidfd = -1};
	char target[PATH_MAX];

	CU_ASSERT_EQUAL(process_living_thread(getpid(), &thread), 0);
	CU_ASSERT_EQUAL(thread, getpid());
	CU_ASSERT_EQUAL(process_living_thread(INT_MAX, &thread), -ESRCH);
	CU_ASSERT_EQUAL(process_living_thread(0, &thread), -ESRCH);
	unit_child_start(&child, end_main_thread, NULL);
	process = (struct process){.pid = child.pid, .pidfd = pidfd_open(child.pid, 0)};
	await_zombie(child.pid, child.pid);
	CU_ASSERT_FALSE(process_ended(process.pidfd));
	CU_ASSERT_EQUAL(process_living_thread(child.pid, &first), 0);
	CU_ASSERT_NOT_EQUAL(first, child.pid);
	CU_ASSERT_TRUE(process_has_thread(child.pid, first));
	CU_ASSERT_TRUE(process_thread_lives(child.pid, first));
	/* What is the main thread's alone is nothing by now. */
	CU_ASSERT_TRUE(process_file_target(child.pid, 0, target, sizeof target) < 0);
	kill(child.pid, SIGKILL);
	unit_child_end(&child, SIGKILL);
	CU_ASSERT_EQUAL(process_living_thread(child.pid, &thread), -ESRCH);
	process_release(&process);
}

/* Threads that have ended, and that a debugger keeps */

struct kept_threads {
	unsigned count;
	pid_t maker; /* of the others: it ends last */
	int told[2]; /* a pipe: the process's pid and the maker, once all others have ended */
};

static void *end_at_once(void *context)
{
	return context;
}

static void *tell_and_wait(void *context)
{
	const struct kept_threads *kept = context;
	pid_t threads[] = {getpid(), kept->maker};

	(void)!write(kept->told[1], threads, sizeof threads);
	return wait_for_ever(NULL);
}

/* The one that lives is the last that was made. */
static void *make_threads(void *context)
{
	struct kept_threads *kept = context;
	pthread_t thread;

	kept->maker = gettid();
	for (unsigned i = 0; i < kept->count; i++) {
		if (pthread_create(&thread, NULL, end_at_once, NULL) != 0)
			return NULL;
		pthread_join(thread, NULL);
	}
	pthread_create(&thread, NULL, tell_and_wait, context);
	return NULL;
}

static void be_traced(struct kept_threads *kept)
{
	pthread_t thread;

	raise(SIGSTOP);
	pthread_create(&thread, NULL, make_threads, kept);
	syscall(SYS_exit, 0);
}

/* Lets its threads go on, and never learns that they have ended. */
static void keep_threads(void *context)
{
	siginfo_t info = {.si_pid = 0};
	pid_t traced = fork();

	if (traced == 0)
		be_traced(context);
	waitpid(traced, NULL, WUNTRACED);
	if (ptrace(PTRACE_SEIZE, traced, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) < 0)
		_exit(1);
	kill(traced, SIGCONT);
	while (waitid(P_ALL, 0, &info, WSTOPPED | __WALL) == 0)
		ptrace(PTRACE_CONT, info.si_pid, 0, 0);
}

static int living_of_kept(unsigned count)
{
	struct kept_threads kept = {.count = count};
	struct unit_child child;
	pid_t threads[2] = {0}, thread;
	int r;

	CU_ASSERT_EQUAL_FATAL(pipe2(kept.told, O_CLOEXEC), 0);
	unit_child_start(&child, keep_threads, &kept);
	CU_ASSERT_EQUAL(read(kept.told[0], threads, sizeof threads), sizeof threads);
	for (unsigned i = 0; i < 2; i++)
		await_zombie(threads[0], threads[i]);
	r = process_living_thread(threads[0], &thread);
	kill(child.pid, SIGKILL);
	unit_child_end(&child, SIGKILL);
	close(kept.told[0]);
	close(kept.told[1]);
	return r;
}

static void test_kept_threads(void)
{
	CU_ASSERT_EQUAL(living_of_kept(8), 0);
	CU_ASSERT_EQUAL(living_of_kept(100), -E2BIG);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"at a socket", test_of_socket},
		{"of another user at a socket", test_of_socket_of_another_user},
		{"dead at a socket", test_of_socket_of_the_dead},
		{"at no socket", test_of_no_socket},
		{"ended", test_ended},
		{"threads", test_has_thread},
		{"identities", test_identity},
		{"identities without inodes", test_identity_without_inodes},
		{"identity of the dead", test_identity_of_the_dead},
		{"a main thread that has ended", test_living_thread},
		{"threads that have ended and are kept: not all are looked through",
			test_kept_threads},
		{"what a descriptor points to", test_file_target},
		{"what another's descriptor points to", test_file_target_of_another},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "process", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
