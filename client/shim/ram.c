/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAM of gmemd's. See ram.h.
 */
#include "client/shim/ram.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "client/shim/book.h"
#include "client/shim/broker.h"
#include "client/shim/files.h"
#include "client/shim/policy.h"
#include "client/shim/real.h"
#include "client/shim/say.h"

/* A VMM survives that it can have no more memory where it makes the file: it is not to wait for
 * long. One that binds what it has ends where that is refused. */
#define PATIENCE_MS 5000

static int make(void *context)
{
	struct ram *ram = context;
	struct gmem_memory_options options = {.name = ram->name, .page_size = ram->page_size};
	const unsigned node = (unsigned)ram->node;

	if (ram->node != POLICY_ANY_NODE)
		options.node = &node;

	if (ram->page_size > 0)
		options.backing = GMEM_BACKING_MEMFD;
	return gmem_memory_create(broker_vm(), ram->size, &options, &ram->memory);
}

/* Numbered in the order in which they come: gmemd has no two of a name in a VM. */
static void name_ram(struct ram *ram, const char *kind)
{
	static _Atomic unsigned last;

	snprintf(ram->name, sizeof ram->name, "%s-%u", kind, ++last);
}

int ram_create(const struct ram_wish *wish, struct ram **ret)
{
	struct ram *ram = book_allocate(sizeof *ram);
	struct job job = {.run = make,
		.context = ram,
		.patience_ms = wish->anonymous ? BROKER_FOR_EVER : PATIENCE_MS};
	char what[128];
	int r;

	ram->size = wish->size;
	ram->page_size = wish->page_size;
	ram->node = wish->node;
	ram->anonymous = wish->anonymous;
	name_ram(ram, wish->kind);
	snprintf(what, sizeof what, "%s of %" PRIu64 " bytes", ram->name, ram->size);
	job.what = what;
	r = broker_do(&job);
	if (r < 0) {
		say("%s: %s%s", what, r == -EREMOTEIO ? "gmemd refused: " : "", job.message);
		free(ram);
		return -ENOMEM;
	}
	ram->fd = gmem_memory_fd(ram->memory);
	*ret = ram;
	return 0;
}

static int close_memory(void *context)
{
	struct ram *take_ram = context;
	int r = gmem_memory_close(take_ram->memory);

	gmem_memory_free(take_ram->memory);
	free(take_ram);
	return r;
}

/* As gmemd does for what it is asked to free. */
void ram_freed(const struct ram *ram, uint64_t offset, uint64_t size)
{
	void *mapped;

	if (ram->page_size == 0 || offset >= ram->size)
		return;
	if (size > ram->size - offset)
		size = ram->size - offset;
	mapped = real_calls()->mmap64(NULL, size, PROT_NONE, MAP_SHARED, ram->fd, (int64_t)offset);
	if (mapped != MAP_FAILED)
		real_calls()->munmap(mapped, size);
}

void ram_join(struct ram *ram)
{
	if (ram->parts++ == 0)
		files_keep(ram->fd);
}

void ram_leave(struct ram *ram)
{
	if (--ram->parts > 0)
		return;
	files_drop(ram->fd);
	broker_post(close_memory, ram, "closing a memory");
}
