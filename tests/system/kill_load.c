/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The random-kill test's load: a VMM whose threads create, bind, write, check, preallocate,
 * reclaim, unbind and close as chance has it, and know at any time what must be there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/system/kill_peer.h"

#define PAGE         UINT64_C(4096)
#define WORDS        (PAGE / sizeof(uint64_t))
#define THREADS      2
#define MEMORIES     6
#define SLOTS        8
#define PAGES        64 /* of most memories, at most */
#define PAGES_LARGE  1024
#define OWN_PAGES    4
#define PAUSE_US_MAX 1000
#define NAME_SIZE    32

struct held {
	struct gmem_memory *memory; /* NULL: none */
	bool guest_memfd;
	char name[NAME_SIZE]; /* "": none */
	uint64_t pages;
	uint64_t *bytes;
	uint64_t *contents; /* of each page what its words are made of; 0: zeroes */
};

struct worker {
	unsigned thread;
	uint64_t chance, made;
	struct held held[MEMORIES];
	struct gmem_slot slots[SLOTS];
	bool bound[SLOTS];
	void *own;
};

static struct gmem *gmem;
static struct gmem_vm *vm;
static struct worker workers[THREADS];
static bool refused; /* no guest_memfd any more: the gate has lost its listener */

static uint64_t chance_of(struct worker *worker, uint64_t below)
{
	return peer_random(&worker->chance, below);
}

/* Fails with what gmemd has of the VM. */
static void need(int r, const char *what)
{
	char params[64], *view, error[1024];

	if (r >= 0)
		return;
	snprintf(error, sizeof error, "%s", gmem_last_error());
	snprintf(params, sizeof params, "{\"vm\":\"%s\"}", gmem_vm_id(vm));
	peer_fail("%s: %s: %s, %s; %s", peer.name, what, strerror(-r), error,
		gmem_call(gmem, "vm.get", params, &view) == 0 ? view : "no view");
}

/* Content */

static void write_page(struct worker *worker, struct held *held, uint64_t page)
{
	uint64_t content = peer_mix(worker->chance + page) | 1;

	for (uint64_t i = 0; i < WORDS; i++)
		held->bytes[page * WORDS + i] = peer_mix(content + i);
	held->contents[page] = content;
}

static void check_page(const struct held *held, uint64_t page)
{
	uint64_t content = held->contents[page];

	for (uint64_t i = 0; i < WORDS; i++) {
		uint64_t expected = content ? peer_mix(content + i) : 0;
		uint64_t is = held->bytes[page * WORDS + i];

		if (is != expected)
			peer_fail("%s: memory %" PRIu64 " has changed at %#" PRIx64 ": %#" PRIx64
				  ", expected %#" PRIx64,
				peer.name, gmem_memory_id(held->memory),
				page * PAGE + i * sizeof is, is, expected);
	}
}

static void check_content(const struct held *held)
{
	for (uint64_t page = 0; page < held->pages; page++)
		check_page(held, page);
}

/* Choices: NULL or -1 where there is none. */

static struct held *some_held(struct worker *worker)
{
	struct held *held = &worker->held[chance_of(worker, MEMORIES)];

	return held->memory ? held : NULL;
}

static struct held *free_held(struct worker *worker)
{
	for (unsigned i = 0; i < MEMORIES; i++) {
		if (!worker->held[i].memory)
			return &worker->held[i];
	}
	return NULL;
}

static int some_slot(struct worker *worker, bool bound)
{
	unsigned first = (unsigned)chance_of(worker, SLOTS);

	for (unsigned i = 0; i < SLOTS; i++) {
		unsigned slot = (first + i) % SLOTS;

		if (worker->bound[slot] == bound)
			return (int)slot;
	}
	return -1;
}

static bool is_bound(const struct worker *worker, const struct gmem_memory *memory)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (worker->bound[i] && worker->slots[i].memory == memory)
			return true;
	}
	return false;
}

/* Memories */

/* A gate without its listener: gmemd says so, or the kernel does where it was amid a creation. */
static bool is_refused(int r, bool guest_memfd)
{
	return peer.gate == GMEM_GATE_REQUIRED && guest_memfd &&
	       (r == -ENOSYS || (r == -EREMOTEIO && strstr(gmem_last_error(), "\"unsupported\"")));
}

static void map(struct held *held)
{
	void *mapped;

	need(gmem_memory_map(held->memory, 0, held->pages * PAGE, PROT_READ | PROT_WRITE, &mapped),
		"mapping memory");
	held->bytes = mapped;
	held->contents = calloc(held->pages, sizeof *held->contents);
	peer_need(held->contents ? 0 : -ENOMEM, "creating memory");
}

static void create(struct worker *worker)
{
	struct held *held = free_held(worker);
	struct gmem_memory_options options = {.flags = GMEM_MEMORY_DEFAULT_FLAGS};
	int r;

	if (!held)
		return;
	*held = (struct held){.guest_memfd = chance_of(worker, 4) > 0};
	held->pages = 1 + chance_of(worker, chance_of(worker, 8) ? PAGES : PAGES_LARGE);
	if (chance_of(worker, 2))
		snprintf(held->name, sizeof held->name, "%u-%" PRIu64, worker->thread,
			++worker->made);
	options.name = held->name[0] ? held->name : NULL;
	options.backing = held->guest_memfd ? GMEM_BACKING_GUEST_MEMFD : GMEM_BACKING_MEMFD;
	peer_doing(worker->thread, "creating a memory of %" PRIu64 " pages, \"%s\"", held->pages,
		held->name);
	r = gmem_memory_create(vm, held->pages * PAGE, &options, &held->memory);
	peer_done(worker->thread);
	if (is_refused(r, held->guest_memfd)) {
		__atomic_store_n(&refused, true, __ATOMIC_RELAXED);
		return;
	}
	need(r, "creating memory");
	map(held);
	for (uint64_t page = 0; page < held->pages && page < PAGES; page++)
		write_page(worker, held, page);
}

static void close_memory(struct worker *worker, struct held *held)
{
	check_content(held);
	munmap(held->bytes, held->pages * PAGE);
	peer_doing(worker->thread, "closing memory %" PRIu64, gmem_memory_id(held->memory));
	need(gmem_memory_close(held->memory), "closing memory");
	peer_done(worker->thread);
	held->memory = gmem_memory_free(held->memory);
	free(held->contents);
	held->contents = NULL;
}

static void close_some(struct worker *worker)
{
	struct held *held = some_held(worker);

	if (held && !is_bound(worker, held->memory))
		close_memory(worker, held);
}

static void touch(struct worker *worker)
{
	struct held *held = some_held(worker);

	if (!held)
		return;
	check_content(held);
	for (uint64_t i = chance_of(worker, PAGES); i > 0; i--)
		write_page(worker, held, chance_of(worker, held->pages));
}

static void preallocate(struct worker *worker)
{
	struct held *held = some_held(worker);
	char params[64], *result;

	if (!held)
		return;
	snprintf(params, sizeof params, "{\"memory\":%" PRIu64 "}", gmem_memory_id(held->memory));
	peer_doing(worker->thread, "memory.preallocate %s", params);
	need(gmem_call(gmem, "memory.preallocate", params, &result), "memory.preallocate");
	peer_done(worker->thread);
	free(result);
}

static void reclaim(struct worker *worker)
{
	struct held *held = some_held(worker);
	uint64_t from, count;

	if (!held)
		return;
	from = chance_of(worker, held->pages);
	count = 1 + chance_of(worker, held->pages - from);
	peer_doing(worker->thread, "reclaiming %" PRIu64 " pages of memory %" PRIu64, count,
		gmem_memory_id(held->memory));
	need(gmem_memory_reclaim(held->memory, from * PAGE, count * PAGE, NULL), "reclaiming");
	peer_done(worker->thread);
	memset(&held->contents[from], 0, count * sizeof *held->contents);
	check_content(held);
}

/* Slots */

static bool overlaps(const struct worker *worker, const struct gmem_slot *slot)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct gmem_slot *other = &worker->slots[i];

		if (worker->bound[i] && other->memory == slot->memory &&
			other->guest_memfd_offset < slot->guest_memfd_offset + slot->memory_size &&
			slot->guest_memfd_offset < other->guest_memfd_offset + other->memory_size)
			return true;
	}
	return false;
}

static void of_own_memory(struct worker *worker, struct gmem_slot *slot)
{
	slot->userspace_addr = (uintptr_t)worker->own;
	slot->memory_size = OWN_PAGES * PAGE;
	slot->flags = chance_of(worker, 2) ? GMEM_SLOT_READONLY : GMEM_SLOT_LOG_DIRTY_PAGES;
}

/* False where chance has found nothing that fits. */
static bool of_some_memory(struct worker *worker, struct gmem_slot *slot)
{
	struct held *held = some_held(worker);
	uint64_t from;

	if (!held || !held->guest_memfd)
		return false;
	from = chance_of(worker, 2) ? 0 : chance_of(worker, held->pages);
	slot->memory = held->memory;
	slot->guest_memfd_offset = from * PAGE;
	slot->memory_size = (1 + chance_of(worker, held->pages - from)) * PAGE;
	slot->userspace_addr = (uintptr_t)held->bytes + slot->guest_memfd_offset;
	return !overlaps(worker, slot);
}

static void bind_slot(struct worker *worker)
{
	int index = some_slot(worker, /* bound= */ false);
	unsigned number = (worker->thread - 1) * SLOTS + (unsigned)index;
	struct gmem_slot slot = {.slot = number, .guest_phys_addr = (1ull + number) << 30};

	if (index < 0)
		return;
	if (chance_of(worker, 8) == 0)
		of_own_memory(worker, &slot);
	else if (!of_some_memory(worker, &slot))
		return;
	peer_doing(worker->thread, "binding slot %u", number);
	need(gmem_slot_bind(vm, &slot), "binding a slot");
	peer_done(worker->thread);
	worker->slots[index] = slot;
	worker->bound[index] = true;
}

static void unbind_slot(struct worker *worker, int index)
{
	if (index < 0)
		return;
	peer_doing(worker->thread, "unbinding slot %u", worker->slots[index].slot);
	need(gmem_slot_unbind(vm, worker->slots[index].slot), "unbinding a slot");
	peer_done(worker->thread);
	worker->bound[index] = false;
}

/* From the memory to its mapping, or back, and nowhere else if it was the process's own. */
static void exchange_slot(struct worker *worker, int index)
{
	struct gmem_slot slot =
		index < 0 ? (struct gmem_slot){.memory = NULL} : worker->slots[index];
	const struct gmem_slot_change changes[] = {{.unbind = slot.slot}, {.bind = &slot}};

	if (index < 0)
		return;
	if (slot.memory && slot.flags == 0)
		slot.flags = GMEM_SLOT_THROUGH_MAPPING | GMEM_SLOT_LOG_DIRTY_PAGES;
	else if (slot.memory)
		slot.flags = 0;
	peer_doing(worker->thread, "exchanging slot %u", slot.slot);
	need(gmem_slot_change(vm, changes, 2, NULL, NULL), "exchanging a slot");
	peer_done(worker->thread);
	worker->slots[index] = slot;
}

/* All of it */

static void step(struct worker *worker)
{
	switch (chance_of(worker, 13)) {
	case 0 ... 2:
		return create(worker);
	case 3 ... 5:
		return bind_slot(worker);
	case 6 ... 7:
		return unbind_slot(worker, some_slot(worker, /* bound= */ true));
	case 8:
		return close_some(worker);
	case 9:
		return touch(worker);
	case 10:
		return preallocate(worker);
	case 11:
		return exchange_slot(worker, some_slot(worker, /* bound= */ true));
	default:
		return reclaim(worker);
	}
}

static void work(unsigned thread)
{
	struct worker *worker = &workers[thread - 1];

	while (peer_goes_on()) {
		step(worker);
		peer_break_sometimes(gmem, &worker->chance);
		usleep((useconds_t)chance_of(worker, PAUSE_US_MAX));
	}
}

static void start(void)
{
	struct gmem_vm_options options = {.name = peer.name, .gate = peer.gate};

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.thread = i + 1, .chance = peer_mix(peer.seed) + ((uint64_t)i << 48)};
		workers[i].own = mmap(NULL, OWN_PAGES * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		peer_need(workers[i].own == MAP_FAILED ? -errno : 0, "mmap");
	}
	gmem = peer_connect();
	peer_doing(0, "opening the VM");
	peer_need(gmem_vm_open(gmem, &options, &vm), "opening the VM");
	peer_idle(0);
}

/* What was reported last gmemd has read once it answers, and all memories must be as they are. */
static void settle(void)
{
	char *result;

	peer_doing(0, "ping");
	peer_need(gmem_call(gmem, "ping", "{}", &result), "ping");
	peer_idle(0);
	free(result);
	for (unsigned i = 0; i < THREADS * MEMORIES; i++) {
		const struct held *held = &workers[i / MEMORIES].held[i % MEMORIES];

		if (held->memory)
			check_content(held);
	}
}

static void print_memory(FILE *to, const struct held *held)
{
	const char *quote = held->name[0] ? "\"" : "";
	struct stat status;

	peer_need(fstat(gmem_memory_fd(held->memory), &status), "fstat");
	fprintf(to, "[%" PRIu64 ",%" PRIu64 ",\"%s\",%s%s%s,%ju]", gmem_memory_id(held->memory),
		gmem_memory_size(held->memory), held->guest_memfd ? "guest_memfd" : "memfd", quote,
		held->name[0] ? held->name : "null", quote, (uintmax_t)status.st_ino);
}

static void print_slot(FILE *to, const struct gmem_slot *slot)
{
	char memory[32] = "null";

	if (slot->memory)
		snprintf(memory, sizeof memory, "%" PRIu64, gmem_memory_id(slot->memory));
	fprintf(to, "[%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%s,%" PRIu64 ",%u]", slot->slot,
		slot->guest_phys_addr, slot->memory_size, slot->userspace_addr, memory,
		slot->guest_memfd_offset, slot->flags);
}

static void print(FILE *to)
{
	const char *comma = "";

	settle();
	fprintf(to, "{\"vm\":\"%s\",\"refused\":%s,\"memories\":[", gmem_vm_id(vm),
		refused ? "true" : "false");
	for (unsigned i = 0; i < THREADS * MEMORIES; i++) {
		const struct held *held = &workers[i / MEMORIES].held[i % MEMORIES];

		if (!held->memory)
			continue;
		fputs(comma, to);
		print_memory(to, held);
		comma = ",";
	}
	fputs("],\"slots\":[", to);
	comma = "";
	for (unsigned i = 0; i < THREADS * SLOTS; i++) {
		if (!workers[i / SLOTS].bound[i % SLOTS])
			continue;
		fputs(comma, to);
		print_slot(to, &workers[i / SLOTS].slots[i % SLOTS]);
		comma = ",";
	}
	fputs("]}", to);
}

/* In good order, unlike one that is killed. */
static void end(void)
{
	for (unsigned i = 0; i < THREADS; i++) {
		int slot;

		while ((slot = some_slot(&workers[i], /* bound= */ true)) >= 0)
			unbind_slot(&workers[i], slot);
		for (unsigned j = 0; j < MEMORIES; j++) {
			if (workers[i].held[j].memory)
				close_memory(&workers[i], &workers[i].held[j]);
		}
	}
	peer_doing(0, "closing the VM");
	peer_need(gmem_vm_close(vm), "closing the VM");
	peer_idle(0);
	vm = gmem_vm_free(vm);
	gmem = gmem_free(gmem);
}

const struct peer_role load_role = {THREADS, start, work, print, end};
