/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Executes a program whose Nth system call fails. See failure.h.
 *
 *     calls PROGRAM ARGUMENT…
 *
 * A seccomp filter has each call that can fail for want of something ask a second process, which
 * lets it through or has it fail with what the kernel would say. What the program starts asks too,
 * and is let through; so that process ends when nobody is left.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kernel/base/uapi.h"
#include "tests/failing/failure.h"

/* What there can be too few of, each time that it is asked for; 0: it fails where it is chosen. */
static const struct {
	int number, error;
} calls[] = {
	{SYS_accept4, EMFILE},
	{__NR_cachestat, ENOMEM},
	{SYS_clone, EAGAIN},
	{SYS_clone3, EAGAIN},
	{SYS_connect, EAGAIN},
	{SYS_epoll_create1, EMFILE},
	{SYS_epoll_wait, 0},
	{SYS_faccessat2, 0},
	{SYS_fstatfs, 0},
	{SYS_newfstatat, 0},
	{SYS_recvmmsg, 0},
	{__NR_mseal, 0},
	{SYS_epoll_ctl, ENOMEM},
	{SYS_eventfd2, EMFILE},
	{SYS_fallocate, ENOSPC},
	{SYS_fcntl, EMFILE},
	{SYS_ftruncate, ENOSPC},
	{SYS_getdents64, ENOMEM},
	{SYS_getsockopt, EMFILE},
	{SYS_ioctl, ENOMEM},
	{SYS_memfd_create, ENFILE},
	{SYS_mkdir, ENOSPC},
#ifndef SANITIZED /* whose runtime maps memory of its own, and ends where it can't */
	{SYS_mmap, ENOMEM},
#endif
	{SYS_openat, ENFILE},
	{SYS_pidfd_getfd, EMFILE},
	{SYS_pidfd_open, EMFILE},
	{SYS_pipe2, EMFILE},
	{SYS_pread64, EIO},
	{SYS_read, EIO},
	{SYS_readlink, ENOMEM},
	{SYS_recvmsg, ENOMEM},
	{SYS_sendmmsg, ENOBUFS},
	{SYS_sendmsg, ENOBUFS},
	{SYS_setsockopt, ENOBUFS},
	{SYS_signalfd4, EMFILE},
	{SYS_socket, EMFILE},
	{SYS_socketpair, EMFILE},
	{SYS_timerfd_create, EMFILE},
	{SYS_write, ENOSPC},
};

#define CALLS (sizeof calls / sizeof *calls)

#ifndef SO_PEERPIDFD /* Linux 6.5 */
#define SO_PEERPIDFD 77
#endif

/* Between the two processes before there is anything to send by. */
struct meeting {
	pid_t program;
	int listener; /* its number there; 0: not yet */
};

static void die(const char *what)
{
	perror(what);
	_exit(126);
}

/* The filter: -1 where there is none to be had. */
static int listen_to_calls(void)
{
	struct sock_filter filter[CALLS + 5] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, CALLS + 1),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	const struct sock_fprog program = {.len = CALLS + 5, .filter = filter};

	for (unsigned i = 0; i < CALLS; i++)
		filter[3 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(uint32_t)calls[i].number, (uint8_t)(CALLS - i), 0);
	filter[3 + CALLS] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[4 + CALLS] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	return (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* Whether the thread is one of the process's. */
static bool is_of_process(pid_t process, pid_t thread)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d", process, thread);
	return access(path, F_OK) == 0;
}

/* Whether it is one of a program of that name, which may have started since. */
static bool is_of_program(const char *program, pid_t thread)
{
	char path[64], name[FAILURE_NAME_SIZE + 1] = "";
	ssize_t length;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/comm", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
	close(fd);
	if (length <= 0)
		return false;
	name[strcspn(name, "\n")] = '\0';
	return strcmp(name, program) == 0;
}

static bool is_of(const struct failure *failure, pid_t program, pid_t thread)
{
	if (failure->program[0] != '\0')
		return is_of_program(failure->program, thread);
	return failure->process == (uint32_t)program && is_of_process(program, thread);
}

/* Of fcntl and getsockopt only what makes a file, of epoll_ctl only what adds one; what asks KVM
 * for what it is needs nothing. */
static int error_of(const struct seccomp_data *call)
{
	if (call->nr == SYS_ioctl &&
		(call->args[1] == KVM_CHECK_EXTENSION || call->args[1] == KVM_GET_API_VERSION))
		return 0;
	if (call->nr == SYS_fcntl && call->args[1] != F_DUPFD_CLOEXEC && call->args[1] != F_DUPFD)
		return 0;
	if (call->nr == SYS_epoll_ctl && call->args[1] != EPOLL_CTL_ADD)
		return 0;
	if (call->nr == SYS_getsockopt && call->args[2] != SO_PEERPIDFD)
		return 0;
	if (call->nr == SYS_write && call->args[0] == STDERR_FILENO)
		return 0; /* a log's line that is lost; the test reads it */
	for (unsigned i = 0; i < CALLS; i++) {
		if (calls[i].number == call->nr)
			return calls[i].error;
	}
	return 0;
}

/* Whether it is one of those that are to fail. */
static bool is_meant(const struct failure *failure, const struct seccomp_data *call)
{
	return (failure->call == 0 || failure->call == (uint32_t)call->nr + 1) &&
	       (failure->file == 0 || failure->file == call->args[0] + 1);
}

static int decide(struct failure *failure, pid_t program, const struct seccomp_notif *asked)
{
	bool chosen = failure->call != 0 && failure->error != 0;
	int error = chosen ? (int)failure->error : error_of(&asked->data);

	if (error == 0 || failure->nth == 0 || !is_meant(failure, &asked->data) ||
		(failure->failed && !failure->lasting) ||
		!is_of(failure, program, (pid_t)asked->pid) ||
		!failure_is_due(failure, FAILURE_CALL))
		return 0;
	failure->number = (uint32_t)asked->data.nr;
	return error;
}

static void answer(struct failure *failure, pid_t program, int listener)
{
	struct seccomp_notif asked;
	struct seccomp_notif_resp response = {.error = 0};

	memset(&asked, 0, sizeof asked);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0)
		return; /* who asked has ended */
	response.id = asked.id;
	response.error = -decide(failure, program, &asked);
	if (response.error == 0)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void supervise(struct failure *failure, volatile struct meeting *meeting)
{
	int pidfd = pidfd_open(meeting->program, 0);
	struct pollfd event = {.events = POLLIN};

	while (meeting->listener == 0)
		poll(NULL, 0, 1);
	event.fd = pidfd_getfd(pidfd, meeting->listener, 0);
	if (event.fd < 0)
		die("pidfd_getfd");
	meeting->listener = 0; /* the program goes on */
	for (;;) {
		if (poll(&event, 1, -1) < 0 && errno != EINTR)
			die("poll");
		if (event.revents & POLLHUP)
			_exit(0);
		if (event.revents & POLLIN)
			answer(failure, meeting->program, event.fd);
	}
}

/* Not this process's child, which the program doesn't expect. */
static void start_supervisor(struct failure *failure, volatile struct meeting *meeting)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child > 0) {
		waitpid(child, NULL, 0);
		return;
	}
	if (fork() != 0)
		_exit(0);
	setsid();
	supervise(failure, meeting);
}

int main(int argc, char **argv)
{
	volatile struct meeting *meeting =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct failure *failure = failure_map();
	int listener;

	if (argc < 2 || !failure || meeting == MAP_FAILED)
		return 126;
	meeting->program = getpid();
	start_supervisor(failure, meeting);
	listener = listen_to_calls();
	if (listener < 0)
		die("seccomp");
	meeting->listener = listener; /* it has FD_CLOEXEC */
	while (meeting->listener != 0)
		__builtin_ia32_pause();
	execv(argv[1], argv + 1);
	die(argv[1]);
}
