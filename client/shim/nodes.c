/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAM of nodes. See nodes.h.
 */
#include "client/shim/nodes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "client/shim/advice.h"
#include "client/shim/areas.h"
#include "client/shim/book.h"
#include "client/shim/files.h"
#include "client/shim/memfds.h"
#include "client/shim/policy.h"
#include "client/shim/ram.h"
#include "client/shim/real.h"

/* What is to be of another node, while the books are closed. */
struct move {
	uint64_t start, size;
	int fd, protection;
	unsigned advice;
	struct file *file;
	char name[64];
};

/* The whole of RAM that has but a file of one number and this mapping. */
static bool is_movable(const struct area *area, uint64_t start, uint64_t size)
{
	const struct ram *ram = area && area->start == start ? area->ram : NULL;

	return ram && !ram->anonymous && ram->page_size == 0 && ram->node == POLICY_ANY_NODE &&
	       area->offset == 0 && area->end - start == ram->size && size >= ram->size &&
	       ram->parts == 2;
}

/* Its place in the books is kept by what nobody would adopt. */
static bool leave_old(uint64_t start, uint64_t size, struct move *ret)
{
	struct area *area = areas_from(start);
	int fd = is_movable(area, start, size) ? files_find(area->ram) : -1;
	struct file *file = fd >= 0 ? files_get(fd) : NULL;

	if (!file || file->numbers != 1)
		return false;
	*ret = (struct move){.start = start,
		.size = area->ram->size,
		.fd = fd,
		.protection = area->protection,
		.advice = area->advice,
		.file = file};
	memcpy(ret->name, file->name, sizeof ret->name);
	file_join(file);
	file_leave_ram(file);
	areas_add(start, ret->size, PROT_NONE, NULL, 0);
	return true;
}

static bool is_still_there(const struct move *move)
{
	const struct area *area = areas_from(move->start);

	return area && area->start == move->start && area->end == move->start + move->size &&
	       !area->ram && area->protection == PROT_NONE && files_get(move->fd) == move->file;
}

/* Where it is not what it was, the RAM is closed again. */
static void take_new(const struct move *move, struct ram *ram)
{
	void *address = (void *)(uintptr_t)move->start;
	struct policy policy;

	if (!is_still_there(move) || memfds_become(move->fd, move->file, ram) < 0)
		return;
	policy_read(address, &policy);
	if (real_calls()->mmap64(address, move->size, move->protection, MAP_SHARED | MAP_FIXED,
		    ram->fd, 0) == MAP_FAILED)
		return;
	areas_add(move->start, move->size, move->protection, ram, 0);
	areas_from(move->start)->advice = move->advice;
	advice_repeat(address, move->size, move->advice);
	policy_set(address, move->size, &policy);
}

static int move_to(uint64_t start, uint64_t size, int node)
{
	struct ram_wish wish = {.node = node};
	struct move move;
	struct ram *ram;
	bool moves;
	int r;

	if (!book_is_claimed() || !book_open())
		return 0;
	moves = leave_old(start, size, &move);
	book_close();
	if (!moves)
		return 0;
	wish.kind = move.name;
	wish.size = move.size;
	r = ram_create(&wish, &ram);
	book_open();
	if (r == 0) {
		ram_join(ram);
		take_new(&move, ram);
		ram_leave(ram);
	}
	file_leave(move.file);
	book_close();
	return r;
}

int nodes_bind(void *address, size_t size, int mode, const unsigned long *nodes, unsigned long end,
	unsigned flags)
{
	struct policy policy;
	int node;

	if (real_calls()->syscall(SYS_mbind, address, size, (unsigned long)mode, nodes, end,
		    (unsigned long)flags) < 0)
		return -errno;
	policy_read(address, &policy);
	node = policy_node(&policy);
	return node == POLICY_ANY_NODE ? 0 : move_to((uintptr_t)address, size, node);
}
