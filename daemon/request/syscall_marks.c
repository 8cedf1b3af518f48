/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Marks. See syscall_marks.h.
 */
#include "daemon/request/syscall_marks.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "protocol/packet.h"

#define MAGIC   0x4b52414du /* "MARK" */
#define VERSION 2

static int map_marks(int fd, struct syscall_marks **ret)
{
	void *bytes =
		mmap(NULL, sizeof(struct syscall_marks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED)
		return -errno;
	/* The kernel brings in no page for a process that is being killed, and a packet whose copy
	 * faults is lost. */
	if (mlock(bytes, sizeof(struct syscall_marks)) < 0) {
		int r = -errno;

		munmap(bytes, sizeof(struct syscall_marks));
		return r;
	}
	*ret = bytes;
	return 0;
}

static uint64_t whole_pages(uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

int syscall_marks_new(int *ret_fd, struct syscall_marks **ret)
{
	cleanup_fd int fd = -1;
	struct syscall_marks *marks = NULL;
	int r;

	r = memory_file_create_memfd("gmemd-marks", whole_pages(sizeof *marks), &fd);
	if (r == 0)
		r = map_marks(fd, &marks);
	if (r < 0)
		return r;
	marks->magic = MAGIC;
	marks->version = VERSION;
	*ret = marks;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}

int syscall_marks_open(int fd, struct syscall_marks **ret)
{
	struct syscall_marks *marks = NULL;
	uint64_t size;
	int r;

	if (memory_file_size(fd, &size) < 0 || size < sizeof *marks)
		return -EBADMSG;
	r = map_marks(fd, &marks);
	if (r < 0)
		return r;
	if (marks->magic != MAGIC || marks->version != VERSION) {
		syscall_marks_close(marks);
		return -EBADMSG;
	}
	*ret = marks;
	return 0;
}

struct syscall_marks *syscall_marks_close(struct syscall_marks *marks)
{
	if (marks)
		munmap(marks, sizeof *marks);
	return NULL;
}

/* What is not yet there can't be taken for what was there before, wherever it ends. */
void syscall_mark_begin(struct packet_mark *mark, uint64_t peer, uint64_t request, bool ends_turn)
{
	syscall_mark_clear(mark);
	mark->call.msg_len = PACKET_UNDONE;
	mark->peer = peer;
	mark->ends_turn = ends_turn;
	atomic_signal_fence(memory_order_seq_cst);
	mark->request = request;
}

void syscall_mark_clear(struct packet_mark *mark)
{
	mark->request = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

bool syscall_mark_done(const struct packet_mark *mark, uint64_t peer, uint64_t request)
{
	return mark->peer == peer && mark->request == request &&
	       mark->call.msg_len != PACKET_UNDONE;
}
