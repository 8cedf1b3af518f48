/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate's listener: what a child behind it calls traps, and is continued or refused.
 */
#include "kernel/kvm/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kernel/base/uapi.h"
#include "kernel/host/process.h"
#include "kernel/kvm/mailbox.h"
#include "tests/lib/gated.h"
#include "tests/lib/unit.h"

/* argv[1] of this program where it is to be what runs after exec. */
#define AFTER_EXEC "after-exec"

/* On no descriptor, so that a call which is continued fails with EBADF. */
#define NO_FD (-7)

static struct mailbox *mailbox;

static int create_vm(long fd, unsigned long type)
{
	return syscall(__NR_ioctl, fd, (unsigned long)KVM_CREATE_VM, type) < 0 ? -errno : 0;
}

static void areas_of(struct mailbox_area areas[MAILBOX_COMMANDS])
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		areas[command] = mailbox_area(command);
}

static void test_available(void)
{
	const char *reason = NULL;

	if (gate_available(&reason)) {
		CU_ASSERT_PTR_NULL(reason);
		return;
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(reason);
	CU_ASSERT_TRUE(strlen(reason) > 0);
}

/* Installing */

static void install(void *context)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	int listener = -1, second = -1;

	(void)context;
	areas_of(areas);
	CU_ASSERT_EQUAL_FATAL(gate_install(areas, &listener), 0);
	CU_ASSERT_TRUE(gate_is_listener(listener));
	CU_ASSERT_EQUAL(fcntl(listener, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	/* One listener per process. */
	CU_ASSERT_EQUAL(gate_install(areas, &second), -EBUSY);
	CU_ASSERT_EQUAL(second, -1);
}

static bool gate_or_skip(void)
{
	const char *reason;

	if (gate_available(&reason))
		return true;
	unit_skip(reason);
	return false;
}

static void test_install(void)
{
	if (gate_or_skip())
		unit_in_child(install, NULL);
}

static void install_unprivileged(void *context)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	int listener = -1;

	(void)context;
	if (setresuid(65534, 65534, 65534) < 0) {
		unit_skip("not permitted to become another user");
		return;
	}
	areas_of(areas);
	CU_ASSERT_EQUAL(gate_install(areas, &listener), 0);
}

static void test_install_unprivileged(void)
{
	if (gate_or_skip())
		unit_in_child(install_unprivileged, NULL);
}

static void install_nonsense(void *context)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	int listener = -1;

	(void)context;
	areas_of(areas);
	areas[MAILBOX_SLOT].stride = 3;
	CU_ASSERT_EQUAL(gate_install(areas, &listener), -EINVAL);
	CU_ASSERT_EQUAL(listener, -1);
	CU_ASSERT_EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(create_vm(NO_FD, 0), -EBADF);
}

static void test_install_nonsense(void)
{
	unit_in_child(install_nonsense, NULL);
}

static void test_is_listener(void)
{
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
	CU_ASSERT_FALSE(gate_is_listener(ends[0]));
	CU_ASSERT_FALSE(gate_is_listener(mailbox_fd(mailbox)));
	CU_ASSERT_FALSE(gate_is_listener(-1));
	close(ends[0]);
	close(ends[1]);
	CU_ASSERT_FALSE(gate_is_listener(ends[0]));
}

/* Traps */

static void call_thrice(void *context)
{
	(void)context;
	CU_ASSERT_EQUAL(create_vm(NO_FD, 5), -EBADF);
	CU_ASSERT_EQUAL(create_vm(NO_FD - 1, UINT64_MAX), -EPERM);
	CU_ASSERT_EQUAL(create_vm(NO_FD, 0), -EBADF);
}

static void test_continue_and_refuse(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_thrice};
	struct gate_trap first, second, third;

	if (!gated_start(&gated))
		return;
	CU_ASSERT_TRUE(gate_is_listener(gated.listener));
	if (gated_next(&gated, &first)) {
		CU_ASSERT_EQUAL(first.thread, gated.child.pid);
		CU_ASSERT_EQUAL(first.request, KVM_CREATE_VM);
		CU_ASSERT_EQUAL(first.argument, 5);
		CU_ASSERT_EQUAL(first.fd, NO_FD);
		CU_ASSERT_TRUE(gate_waits(gated.listener, first.id));
		CU_ASSERT_FALSE(gate_waits(gated.listener, first.id + 1));
		CU_ASSERT_EQUAL(gate_continue(gated.listener, first.id + 1), -ENOENT);
		CU_ASSERT_EQUAL(gate_continue(gated.listener, first.id), 0);
	}
	if (gated_next(&gated, &second)) {
		CU_ASSERT_EQUAL(second.argument, UINT64_MAX);
		CU_ASSERT_EQUAL(second.fd, NO_FD - 1);
		/* Answered once, an id is no more. */
		CU_ASSERT_FALSE(gate_waits(gated.listener, first.id));
		CU_ASSERT_EQUAL(gate_refuse(gated.listener, first.id), -ENOENT);
		CU_ASSERT_EQUAL(gate_refuse(gated.listener, second.id), 0);
	}
	if (gated_next(&gated, &third)) {
		/* A restarted gmemd relies on it: ids run on by one. */
		CU_ASSERT_EQUAL(second.id, first.id + 1);
		CU_ASSERT_EQUAL(third.id, second.id + 1);
		CU_ASSERT_EQUAL(gate_continue(gated.listener, third.id), 0);
	}
	gated_end(&gated, 0);
}

static void call_once(void *context)
{
	(void)context;
	create_vm(NO_FD, 0);
}

static void test_killed_after_receive(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_once};
	struct pollfd event = {.events = POLLIN};
	struct gate_trap trap;

	if (!gated_start(&gated))
		return;
	if (gated_next(&gated, &trap)) {
		kill(gated.child.pid, SIGKILL);
		/* The listener tells of the end of all that it was for. */
		event.fd = gated.listener;
		CU_ASSERT_EQUAL(poll(&event, 1, 10000), 1);
		CU_ASSERT_TRUE(event.revents & POLLHUP);
		CU_ASSERT_FALSE(gate_waits(gated.listener, trap.id));
		CU_ASSERT_EQUAL(gate_continue(gated.listener, trap.id), -ENOENT);
		CU_ASSERT_EQUAL(gate_refuse(gated.listener, trap.id), -ENOENT);
	}
	gated_end(&gated, SIGKILL);
}

static void test_killed_before_receive(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_once};
	struct pollfd event = {.events = POLLIN};
	struct seccomp_notif room;
	struct gate_trap trap;

	if (!gated_start(&gated))
		return;
	event.fd = gated.listener;
	CU_ASSERT_EQUAL(poll(&event, 1, 10000), 1);
	CU_ASSERT_EQUAL(event.revents, POLLIN);
	kill(gated.child.pid, SIGKILL);
	event.events = 0;
	CU_ASSERT_EQUAL(poll(&event, 1, 10000), 1);
	CU_ASSERT_EQUAL(gate_receive(gated.listener, &room, &trap), -ENOENT);
	CU_ASSERT_EQUAL(room.id, 0);
	gated_end(&gated, SIGKILL);
}

/* A thread that was there before the gate is behind it too, and is told from the others. */

static int gate_is_up[2];

static void *thread_run(void *context)
{
	char byte;

	(void)context;
	CU_ASSERT_EQUAL(read(gate_is_up[0], &byte, 1), 1);
	CU_ASSERT_EQUAL(create_vm(NO_FD, 0), -EPERM);
	return NULL;
}

static pthread_t thread;

static void start_thread(void *context)
{
	(void)context;
	CU_ASSERT_EQUAL_FATAL(pipe2(gate_is_up, O_CLOEXEC), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, thread_run, NULL), 0);
}

static void release_thread(void *context)
{
	(void)context;
	CU_ASSERT_EQUAL(write(gate_is_up[1], "", 1), 1);
	pthread_join(thread, NULL);
}

static void test_threads(void)
{
	struct gated gated = {.mailbox = mailbox, .prepare = start_thread, .body = release_thread};
	struct gate_trap trap;

	if (!gated_start(&gated))
		return;
	if (gated_next(&gated, &trap)) {
		CU_ASSERT_NOT_EQUAL(trap.thread, gated.child.pid);
		CU_ASSERT_TRUE(process_has_thread(gated.child.pid, trap.thread));
		CU_ASSERT_FALSE(process_has_thread(getpid(), trap.thread));
		CU_ASSERT_EQUAL(gate_refuse(gated.listener, trap.id), 0);
	}
	gated_end(&gated, 0);
}

/* A signal to a thread whose call gmemd has received must neither end the call nor make it trap
 * twice. */

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void call_with_a_handler(void *context)
{
	struct sigaction action = {.sa_handler = on_signal};

	(void)context;
	sigaction(SIGUSR1, &action, NULL);
	CU_ASSERT_EQUAL(create_vm(NO_FD, 0), -EBADF);
	CU_ASSERT_EQUAL(signals, 1);
}

static void test_signal_meanwhile(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_with_a_handler};
	struct gate_trap trap;

	if (!gated_start(&gated))
		return;
	if (gated_next(&gated, &trap)) {
		kill(gated.child.pid, SIGUSR1);
		usleep(20000);
		CU_ASSERT_TRUE(gate_waits(gated.listener, trap.id));
		CU_ASSERT_EQUAL(gate_continue(gated.listener, trap.id), 0);
	}
	gated_end(&gated, 0);
}

/* Where nobody holds the listener, nobody else can come by one, and what traps fails. */

static long install_filter(uint32_t action, unsigned long flags)
{
	struct sock_filter instruction = BPF_STMT(BPF_RET | BPF_K, action);
	struct sock_fprog program = {1, &instruction};

	return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0 ? -errno : 0;
}

static void ask_for_listeners(void *context)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	int listener;

	(void)context;
	areas_of(areas);
	/* Waits for the listener's end. */
	CU_ASSERT_EQUAL(create_vm(NO_FD, 0), -ENOSYS);
	CU_ASSERT_EQUAL(
		install_filter(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER), -EBUSY);
	CU_ASSERT_EQUAL(gate_install(areas, &listener), -EBUSY);
	CU_ASSERT_EQUAL(install_filter(SECCOMP_RET_ALLOW, SECCOMP_FILTER_FLAG_TSYNC), 0);
	CU_ASSERT_EQUAL(install_filter(SECCOMP_RET_LOG, 0), 0);
	CU_ASSERT_EQUAL(create_vm(NO_FD, 0), -ENOSYS);
}

static void test_nobody_listens(void)
{
	struct gated gated = {.mailbox = mailbox, .body = ask_for_listeners};
	struct gate_trap trap;

	if (!gated_start(&gated))
		return;
	gated_next(&gated, &trap);
	gated_end(&gated, 0);
}

/* The gate goes on with what the process becomes and with what it starts. */

static void exec_self(void *context)
{
	(void)context;
	execl("/proc/self/exe", "gated", AFTER_EXEC, NULL);
	CU_FAIL("exec");
}

static int after_exec(void)
{
	if (ioctl(NO_FD, KVM_SET_USER_MEMORY_REGION, 0) != -1 || errno != EPERM)
		return EXIT_FAILURE;
	return create_vm(NO_FD, 11) == -EPERM ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void test_across_exec(void)
{
	struct gated gated = {.mailbox = mailbox, .body = exec_self};
	struct gate_trap trap;

	if (!gated_start(&gated))
		return;
	if (gated_next(&gated, &trap)) {
		CU_ASSERT_EQUAL(trap.argument, 11);
		CU_ASSERT_EQUAL(gate_refuse(gated.listener, trap.id), 0);
	}
	gated_end(&gated, 0);
}

static int set_up(void)
{
	return mailbox_new("mailbox", MAILBOX_WRITER_ALONE, &mailbox);
}

static int clean_up(void)
{
	mailbox = mailbox_free(mailbox);
	return 0;
}

int main(int argc, char **argv)
{
	CU_TestInfo tests[] = {
		{"available or not, and why", test_available},
		{"install", test_install},
		{"install as another user", test_install_unprivileged},
		{"install nonsense", test_install_nonsense},
		{"what is a listener", test_is_listener},
		{"continue and refuse", test_continue_and_refuse},
		{"killed after it was received", test_killed_after_receive},
		{"killed before it was received", test_killed_before_receive},
		{"threads from before the gate", test_threads},
		{"a signal meanwhile", test_signal_meanwhile},
		{"nobody listens", test_nobody_listens},
		{"across exec", test_across_exec},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "gate", .pInitFunc = set_up, .pCleanupFunc = clean_up, .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	if (argc > 1 && strcmp(argv[1], AFTER_EXEC) == 0)
		return after_exec();
	return unit_main(suites);
}
