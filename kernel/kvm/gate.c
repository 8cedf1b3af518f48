/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate round a VMM and its listener. See gate.h.
 */
#include "kernel/kvm/gate.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/deadline.h"
#include "kernel/base/uapi.h"
#include "kernel/host/process.h"
#include "kernel/kvm/gate_filter.h"

bool gate_available(const char **ret_missing)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;

	/* A length of 0 seals nothing. */
	if (syscall(__NR_mseal, 0, 0, 0) < 0) {
		*ret_missing = "mseal(2), of Linux 6.10 or newer";
		return false;
	}
	if (syscall(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0) {
		*ret_missing = "seccomp user notification, of CONFIG_SECCOMP_FILTER";
		return false;
	}
	return true;
}

#define EVERY_THREAD (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
#define LISTENER     (SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)

/* The caller owns the listener, where it asks for one. */
static int install(struct sock_fprog *program, unsigned long listener)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, EVERY_THREAD | listener, program);
	return r < 0 ? -errno : r;
}

static int install_filter(struct gate_filter *filter, unsigned long listener)
{
	struct sock_fprog program = {.len = filter->length, .filter = filter->program};

	return install(&program, listener);
}

int gate_install_closed(void)
{
	struct gate_filter filter;

	gate_filter_build_closed(&filter);
	return install_filter(&filter, 0);
}

int gate_install(const struct mailbox_area areas[static MAILBOX_COMMANDS], int *ret_listener)
{
	struct gate_filter filter;
	int r;

	r = gate_filter_build(areas, &filter);
	if (r < 0)
		return r;
	r = install_filter(&filter, LISTENER);
	if (r < 0)
		return r;
	*ret_listener = r;
	return 0;
}

/* A filter that lets everything run. */
static _Noreturn void try_and_exit(void)
{
	struct sock_filter run = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &run};
	int r = install(&program, LISTENER);

	_exit(r < 0 ? -r : 0);
}

int gate_try(void)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (child == 0)
		try_and_exit();
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

const char *gate_obstacle(int r)
{
	switch (-r) {
	case EBUSY:
		return "this process runs below a seccomp listener already, of a sandbox, a "
		       "container manager or another gate, and the kernel allows one: start it "
		       "outside of that";
	case ESRCH:
		return "a thread of this process has a seccomp filter of its own, which the gate "
		       "can't join: open the VM before such threads begin";
	case EPERM:
	case EACCES:
		return "this process may install no seccomp filter: a filter that it runs under "
		       "refuses that";
	case ECANCELED:
		return "a filter that it runs under kills a process that installs another";
	case EINVAL:
		return "the kernel lacks seccomp user notification with killable waits, of Linux "
		       "5.19 or newer";
	case ENOSYS:
		return "the kernel lacks seccomp";
	default:
		return NULL;
	}
}

bool gate_is_listener(int fd)
{
	char target[PATH_MAX];

	return process_file_target(getpid(), fd, target, sizeof target) == 0 &&
	       strcmp(target, "anon_inode:seccomp notify") == 0;
}

void gate_wake_in_sync(int listener)
{
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

int gate_receive(int listener, struct seccomp_notif *room, struct gate_trap *ret)
{
	int r;

	memset(room, 0, sizeof *room);
	/* It waits where nothing is there, whatever poll said before: somebody else who holds the
	 * listener may have taken it, and nothing makes the ioctl non-blocking. */
	r = deadline_start();
	if (r < 0)
		return r;
	r = ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, room) < 0 ? -errno : 0;
	deadline_stop();
	if (r < 0)
		return r;
	*ret = (struct gate_trap){
		.id = room->id,
		.thread = (pid_t)room->pid,
		.request = (uint32_t)room->data.args[1],
		.argument = room->data.args[2],
		.fd = (int)room->data.args[0],
	};
	return 0;
}

bool gate_waits(int listener, uint64_t id)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static int gate_answer(int listener, const struct seccomp_notif_resp *answer)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer) < 0 ? -errno : 0;
}

int gate_continue(int listener, uint64_t id)
{
	struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	return gate_answer(listener, &answer);
}

int gate_refuse(int listener, uint64_t id)
{
	struct seccomp_notif_resp answer = {.id = id, .error = -EPERM};

	return gate_answer(listener, &answer);
}

int gate_interrupt(int listener, uint64_t id)
{
	struct seccomp_notif_resp answer = {.id = id, .error = -EINTR};

	return gate_answer(listener, &answer);
}
