/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other processes: who is at the other end of a socket, whether it still lives, what its
 * descriptors are.
 */
#include "kernel/process.h"

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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/cleanup.h"
#include "tests/lib/unit.h"

#define UNPRIVILEGED_ID 65534

/* A listening socket and a child that has connected to it and waits for the end of the connection.
 */
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

int main(void)
{
	CU_TestInfo tests[] = {
		{"at a socket", test_of_socket},
		{"of another user at a socket", test_of_socket_of_another_user},
		{"dead at a socket", test_of_socket_of_the_dead},
		{"at no socket", test_of_no_socket},
		{"ended", test_ended},
		{"threads", test_has_thread},
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
