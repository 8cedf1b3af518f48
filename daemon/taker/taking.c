/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking files of another process. See taking.h.
 */
#include "daemon/taker/taking.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/taker/packet.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "kernel/host/process.h"
#include "kernel/kvm/gate.h"
#include "kernel/kvm/mailbox.h"

static bool is_guest_memfd(int fd, uint64_t expected)
{
	uint64_t size;

	if (!memory_file_is_guest_memfd(fd))
		return false;
	return expected == 0 || (memory_file_size(fd, &size) == 0 && size == expected);
}

static bool is_mailbox(int fd)
{
	char name[MAILBOX_NAME_SIZE];

	return mailbox_name(fd, name, sizeof name) == 0;
}

static bool is_device(int fd, uint64_t expected)
{
	struct statx status;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) == 0 &&
	       S_ISCHR(status.stx_mode) &&
	       makedev(status.stx_rdev_major, status.stx_rdev_minor) == expected;
}

static bool is_as_expected(int fd, const struct taker_file *file)
{
	switch ((enum taker_kind)file->kind) {
	case TAKER_GUEST_MEMFD:
		return is_guest_memfd(fd, file->expected);
	case TAKER_LISTENER:
		return gate_is_listener(fd);
	case TAKER_MEMORY:
		return memory_file_is_guest_memfd(fd) || memory_file_is_of_this_user(fd);
	case TAKER_MAILBOX:
		return is_mailbox(fd);
	case TAKER_KVM:
		return is_device(fd, file->expected);
	case TAKER_PIDFD:
		return process_is_pidfd(fd);
	}
	return false;
}

static int duplicate_file(int pidfd, int number, int *ret_fd)
{
	int fd = pidfd_getfd(pidfd, number, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

struct duplication {
	int number;
	int fd;
};

static int duplicate_of_thread(pid_t thread, int pidfd, void *context)
{
	struct duplication *duplication = context;

	(void)thread;
	return duplicate_file(pidfd, duplication->number, &duplication->fd);
}

/* A first thread that has ended has no files any more; all others have the same ones. */
static int duplicate_of_process(const struct taker_process *process, int number, int *ret_fd)
{
	struct duplication duplication = {.number = number, .fd = -1};
	int r = duplicate_file(process->pidfd, number, ret_fd);

	if (r != -ESRCH || process_ended(process->pidfd))
		return r;
	r = taker_threads_visit(process, duplicate_of_thread, &duplication);
	if (r < 0)
		fd_close(duplication.fd);
	else
		*ret_fd = duplication.fd;
	return r;
}

/* *ret_fd is -1 where it is not to be handed over. */
static int take_file(
	const struct taker_process *process, const struct taker_file *file, int *ret_fd)
{
	bool expected;
	int fd = -1, r;

	r = duplicate_of_process(process, file->number, &fd);
	if (r < 0)
		return r;
	expected = is_as_expected(fd, file);
	if (!expected || !taker_kind_is_handed_over(file->kind))
		fd = fd_close(fd);
	if (!expected)
		return -EINVAL;
	*ret_fd = fd;
	return 0;
}

int taken_take(struct taken *ret, const struct taker_process *process,
	const struct taker_message *request, uint32_t *ret_failed)
{
	struct taken taken = {.count = 0};
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < request->header.count; i++) {
		int fd = -1;

		*ret_failed = i;
		r = take_file(process, &request->request.files[i], &fd);
		if (r == 0 && fd >= 0)
			taken.fds[taken.count++] = fd;
	}
	if (r < 0)
		taken_close(&taken);
	else
		*ret = taken;
	return r;
}

void taken_close(struct taken *taken)
{
	while (taken->count > 0)
		fd_close(taken->fds[--taken->count]);
}
