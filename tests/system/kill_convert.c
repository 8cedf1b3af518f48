/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The random-kill test's converting VMM: its threads make frames private and shared, each its own
 * and all of them some that they have in common, and know of their own what must be so.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/system/kill_peer.h"

#define PAGE       UINT64_C(4096)
#define THREADS    3
#define OWN        64 /* frames of each thread's */
#define COMMON     16 /* behind them */
#define FRAMES     (THREADS * OWN + COMMON)
#define RANGES_MAX 4

static struct gmem *gmem;
static struct gmem_vm *vm;
static struct gmem_memory *private_half, *shared_half;
static volatile char *bytes;
static char asked[FRAMES + 1];
static uint64_t chances[THREADS];

static void make_halves(void)
{
	const struct gmem_memory_options private = {.flags = GMEM_MEMORY_NO_FLAGS};
	const struct gmem_memory_options shared = {.backing = GMEM_BACKING_MEMFD};
	struct gmem_slot slot = {.memory_size = FRAMES * PAGE};

	peer_need(gmem_memory_create(vm, FRAMES * PAGE, &private, &private_half), "creating");
	peer_need(gmem_memory_create(vm, FRAMES * PAGE, &shared, &shared_half), "creating");
	peer_need(gmem_memory_map(
			  shared_half, 0, FRAMES * PAGE, PROT_READ | PROT_WRITE, (void **)&bytes),
		"mapping");
	slot.userspace_addr = (uintptr_t)bytes;
	slot.memory = private_half;
	slot.shared_memory = shared_half;
	peer_need(gmem_slot_bind(vm, &slot), "binding");
}

static void start(void)
{
	struct gmem_vm_options options = {.name = peer.name, .gate = peer.gate};
	const char *type = getenv("CONVERT_VM_TYPE");

	options.type = type;
	memset(asked, '0', FRAMES);
	for (unsigned i = 0; i < THREADS; i++)
		chances[i] = peer_mix(peer.seed) + ((uint64_t)i << 48);
	gmem = peer_connect();
	peer_doing(0, "opening the VM");
	peer_need(gmem_vm_open(gmem, &options, &vm), "opening the VM");
	make_halves();
	peer_idle(0);
}

/* Its own, one behind the other, or one that others convert too. */
static size_t choose(unsigned thread, struct gmem_range ranges[static RANGES_MAX])
{
	uint64_t *chance = &chances[thread - 1], count = 1 + peer_random(chance, RANGES_MAX);
	uint64_t at = (thread - 1) * OWN;

	if (peer_random(chance, 4) == 0) {
		at = THREADS * OWN + peer_random(chance, COMMON / 2);
		ranges[0] = (struct gmem_range){
			at * PAGE, (1 + peer_random(chance, COMMON / 2)) * PAGE};
		return 1;
	}
	for (uint64_t i = 0; i < count; i++) {
		uint64_t skipped = peer_random(chance, OWN / RANGES_MAX / 2);
		uint64_t size = 1 + peer_random(chance, OWN / RANGES_MAX / 2);

		ranges[i] = (struct gmem_range){(at + skipped) * PAGE, size * PAGE};
		at += skipped + size;
	}
	return count;
}

/* Pages of both halves, as guest and host make them. */
static void fill(const struct gmem_range *range)
{
	for (uint64_t at = 0; at < range->size; at += PAGE)
		bytes[range->guest_phys_addr + at] = 1;
	peer_need(fallocate(gmem_memory_fd(private_half), FALLOC_FL_KEEP_SIZE,
			  (off_t)range->guest_phys_addr, (off_t)range->size) < 0
			  ? -errno
			  : 0,
		"allocating");
}

static void note(enum gmem_state to, const struct gmem_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memset(asked + ranges[i].guest_phys_addr / PAGE, to == GMEM_PRIVATE ? '1' : '0',
			ranges[i].size / PAGE);
}

static void step(unsigned thread)
{
	uint64_t *chance = &chances[thread - 1], discarded;
	enum gmem_state to = peer_random(chance, 2) ? GMEM_PRIVATE : GMEM_SHARED;
	bool tells = peer_random(chance, 2);
	struct gmem_range ranges[RANGES_MAX];
	size_t count = choose(thread, ranges);

	for (size_t i = 0; i < count; i++)
		fill(&ranges[i]);
	peer_doing(thread, "converting %#" PRIx64, ranges[0].guest_phys_addr);
	peer_need(gmem_convertv(vm, to, ranges, count, 0, tells ? &discarded : NULL), "converting");
	peer_done(thread);
	if (ranges[0].guest_phys_addr < THREADS * OWN * PAGE)
		note(to, ranges, count);
}

static void work(unsigned thread)
{
	while (peer_goes_on()) {
		step(thread);
		peer_break_sometimes(gmem, &chances[thread - 1]);
		usleep((useconds_t)peer_random(&chances[thread - 1], 500));
	}
}

/* What was reported last gmemd has read once it answers. */
static void print(FILE *to)
{
	char *result;

	peer_doing(0, "ping");
	peer_need(gmem_call(gmem, "ping", "{}", &result), "ping");
	peer_idle(0);
	free(result);
	fprintf(to, "{\"vm\":\"%s\",\"frames\":%d,\"asked\":\"%.*s\"}", gmem_vm_id(vm), FRAMES,
		THREADS * OWN, asked);
}

static void end(void)
{
	peer_need(gmem_slot_unbind(vm, 0), "unbinding");
	munmap((void *)bytes, FRAMES * PAGE);
	peer_need(gmem_memory_close(private_half), "closing");
	peer_need(gmem_memory_close(shared_half), "closing");
	gmem_memory_free(private_half);
	gmem_memory_free(shared_half);
	peer_need(gmem_vm_close(vm), "closing the VM");
	vm = gmem_vm_free(vm);
	gmem = gmem_free(gmem);
}

const struct peer_role convert_role = {THREADS, start, work, print, end};
