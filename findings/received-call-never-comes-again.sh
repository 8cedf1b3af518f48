#!/bin/sh
# A system call that seccomp handed to a supervisor is never handed out again. Has its receiver died before it answered, a second
# process with the same listener sees the call by nothing but POLLOUT: there is no POLLIN, NOTIF_RECV has nothing, and the caller waits
# on. Who knows the call's id can answer from any process, and nobody else can; unless a signal, even SIGSTOP with SIGCONT, has the kernel
# restart the call, which then comes anew with the next id. And O_NONBLOCK on the listener does nothing: NOTIF_RECV waits.
#
# Seen on:   Linux 6.18.44.
# Expected:  seccomp_unotify(2) has ids for answering, and a receiver that dies goes unmentioned; a lock or a queue that outlives its
#            reader would give the message to the next. That a read waits although O_NONBLOCK is set is no ioctl's habit.
# Output seen: as in "expected" below. The waits in it are ended by an alarm.
#
# Needs: cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Hands each getppid() to whoever holds the listener. */
static int install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void send_file(int sock, int file)
{
	char byte = 0, control[CMSG_SPACE(sizeof file)] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	message.msg_control = control;
	message.msg_controllen = sizeof control;
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof file);
	memcpy(CMSG_DATA(header), &file, sizeof file);
	if (sendmsg(sock, &message, 0) != 1)
		_exit(2);
}

static int receive_file(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;
	int file;

	message.msg_control = control;
	message.msg_controllen = sizeof control;
	if (recvmsg(sock, &message, MSG_CMSG_CLOEXEC) != 1 || !(header = CMSG_FIRSTHDR(&message)))
		exit(77);
	memcpy(&file, CMSG_DATA(header), sizeof file);
	return file;
}

static void run_caller(int sock)
{
	int listener = install_filter();

	if (listener < 0)
		_exit(77);
	send_file(sock, listener);
	close(listener);
	for (int i = 0; i < 2; i++) {
		long result = syscall(SYS_getppid);

		if (write(sock, &result, sizeof result) != sizeof result)
			_exit(2);
	}
	_exit(0);
}

static const char *receive_call(int listener, __u64 *ret_id)
{
	struct seccomp_notif call;

	memset(&call, 0, sizeof call);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
		return strerror(errno);
	*ret_id = call.id;
	return "a call";
}

static const char *receive_for_a_second(int listener, __u64 *ret_id)
{
	const char *result;

	alarm(1);
	result = receive_call(listener, ret_id);
	alarm(0);
	return result;
}

/* By a process that tells the id and ends. */
static __u64 lose_call(int listener)
{
	__u64 id = 0;
	int ends[2];
	pid_t receiver;

	if (pipe(ends) || (receiver = fork()) < 0)
		exit(2);
	if (!receiver) {
		receive_call(listener, &id);
		_exit(write(ends[1], &id, sizeof id) != sizeof id);
	}
	if (read(ends[0], &id, sizeof id) != sizeof id || waitpid(receiver, NULL, 0) != receiver)
		exit(2);
	close(ends[0]);
	close(ends[1]);
	return id;
}

static void answer_call(int listener, __u64 id, int sock, long result)
{
	struct seccomp_notif_resp answer = {.id = id, .val = result};
	long seen = -1;

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer))
		printf("answer: %s\n", strerror(errno));
	else if (read(sock, &seen, sizeof seen) == sizeof seen)
		printf("answered with %ld, and the caller has %ld\n", result, seen);
}

static void show_events(const char *when, int listener, short wanted)
{
	struct pollfd events = {.fd = listener, .events = wanted};

	poll(&events, 1, 60000);
	events.events = POLLIN | POLLOUT;
	poll(&events, 1, 0);
	printf("%s:%s%s\n", when, events.revents & POLLIN ? " POLLIN" : "",
		events.revents & POLLOUT ? " POLLOUT" : "");
}

static void wake(int number)
{
	(void)number;
}

int main(void)
{
	struct sigaction action = {.sa_handler = wake}; /* without SA_RESTART */
	const char *result;
	int socks[2], listener;
	__u64 lost, id = 0;
	pid_t caller;

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGALRM, &action, NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks) || (caller = fork()) < 0)
		return 2;
	if (!caller)
		run_caller(socks[1]);
	close(socks[1]);
	listener = receive_file(socks[0]);

	show_events("the caller waits", listener, POLLIN);
	lost = lose_call(listener);
	show_events("a process has received its call, and died", listener, POLLOUT);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	printf("another receives, for a second, O_NONBLOCK: %s\n", receive_for_a_second(listener, &id));
	answer_call(listener, lost, socks[0], 4711);

	show_events("the caller's next call waits", listener, POLLIN);
	lost = lose_call(listener);
	printf("the same again: %s\n", receive_for_a_second(listener, &id));
	kill(caller, SIGSTOP);
	kill(caller, SIGCONT);
	show_events("the caller was stopped and continued", listener, POLLIN);
	result = receive_for_a_second(listener, &id);
	printf("another receives: %s, id + %d\n", result, (int)(id - lost));
	answer_call(listener, id, socks[0], 4712);
	waitpid(caller, NULL, 0);
	return 0;
}
END
cat >"$folder/expected" <<'END'
the caller waits: POLLIN
a process has received its call, and died: POLLOUT
another receives, for a second, O_NONBLOCK: Interrupted system call
answered with 4711, and the caller has 4711
the caller's next call waits: POLLIN
the same again: Interrupted system call
the caller was stopped and continued: POLLIN
another receives: a call, id + 1
answered with 4712, and the caller has 4712
END

cc -O1 -Wall -pthread -o "$folder/program" "$folder/program.c"
status=0
"$folder/program" >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "$(cat "$folder/seen")"
echo "Linux $(uname -r)"
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
