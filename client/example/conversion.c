/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion, shown. See conversion.h.
 */
#include "client/example/conversion.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SLOT      100
#define ADDRESS   0x1000000ull /* of the guest */
#define SIZE      0x10000ull
#define CONVERTED 0x2000ull

/* Both halves of the slot's memory. */
struct halves {
	struct gmem_vm *vm;
	struct gmem_memory *private, *shared;
	char *private_bytes, *shared_bytes;
	bool is_private;
};

static int map_memory(struct gmem_memory *memory, char **ret)
{
	void *bytes =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem_memory_fd(memory), 0);

	if (bytes == MAP_FAILED)
		return -errno;
	*ret = bytes;
	return 0;
}

static int make_memory(struct halves *halves)
{
	const struct gmem_memory_options private = {
		.name = "private", .flags = GMEM_MEMORY_NO_FLAGS};
	const struct gmem_memory_options shared = {.name = "shared", .backing = GMEM_BACKING_MEMFD};
	int r = gmem_memory_create(halves->vm, SIZE, &private, &halves->private);

	if (r == 0)
		r = gmem_memory_create(halves->vm, SIZE, &shared, &halves->shared);
	if (r == 0)
		r = map_memory(halves->private, &halves->private_bytes);
	return r == 0 ? map_memory(halves->shared, &halves->shared_bytes) : r;
}

static int bind(struct halves *halves)
{
	const struct gmem_slot slot = {
		.slot = SLOT,
		.guest_phys_addr = ADDRESS,
		.memory_size = SIZE,
		.userspace_addr = (uintptr_t)halves->shared_bytes,
		.memory = halves->private,
		.shared_memory = halves->shared,
	};

	return gmem_slot_bind(halves->vm, &slot);
}

/* A guest sees the half that its frames are in, the host the shared one. */
static void print_view(const struct halves *halves, const char *when)
{
	const char *guest = halves->is_private ? halves->private_bytes : halves->shared_bytes;

	printf("vmm: %-26s the guest sees \"%s\", the host sees \"%s\"\n", when, guest,
		halves->shared_bytes);
}

static int convert_pages(struct halves *halves, enum gmem_state to)
{
	uint64_t discarded = 0;
	int r = gmem_convert(halves->vm, to, ADDRESS, CONVERTED, 0, &discarded);

	if (r < 0)
		return r;
	halves->is_private = to == GMEM_PRIVATE;
	printf("vmm: %" PRIu64 " KiB are %s now; of the other half %" PRIu64
	       " KiB were given back\n",
		(uint64_t)CONVERTED / 1024, halves->is_private ? "private" : "shared",
		discarded / 1024);
	return 0;
}

static int show(struct halves *halves, void (*look)(void *context), void *context)
{
	int r;

	strcpy(halves->shared_bytes, "written by the host");
	print_view(halves, "shared:");
	r = convert_pages(halves, GMEM_PRIVATE);
	if (r < 0)
		return r;
	print_view(halves, "private:");
	strcpy(halves->private_bytes, "a secret");
	print_view(halves, "the guest has written:");
	look(context);
	r = convert_pages(halves, GMEM_SHARED);
	if (r == 0)
		print_view(halves, "shared again:");
	return r;
}

static int give_back(struct halves *halves)
{
	uint64_t reclaimed = 0;
	int r;

	memset(halves->shared_bytes, 'x', SIZE);
	r = gmem_memory_reclaim(halves->shared, SIZE / 2, SIZE / 2, &reclaimed);
	if (r < 0)
		return r;
	printf("vmm: of %" PRIu64 " KiB of the shared half %" PRIu64 " KiB were reclaimed\n",
		(uint64_t)SIZE / 1024, reclaimed / 1024);
	r = gmem_slot_unbind(halves->vm, SLOT);
	if (r == 0)
		r = gmem_memory_close(halves->shared);
	return r == 0 ? gmem_memory_close(halves->private) : r;
}

int example_convert(struct gmem_vm *vm, void (*look)(void *context), void *context)
{
	struct halves halves = {.vm = vm};
	int r = make_memory(&halves);

	if (r == 0)
		r = bind(&halves);
	if (r == 0)
		r = show(&halves, look, context);
	if (r == 0)
		r = give_back(&halves);
	if (halves.private_bytes)
		munmap(halves.private_bytes, SIZE);
	if (halves.shared_bytes)
		munmap(halves.shared_bytes, SIZE);
	gmem_memory_free(halves.shared);
	gmem_memory_free(halves.private);
	return r;
}
