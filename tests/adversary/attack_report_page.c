/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks with the report page: words that lie, words at the wrong time and in the wrong place, and
 * the file itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/kvm/report_page.h"
#include "tests/adversary/adversary.h"

#define ADDRESS 0x1000000
#define ROUNDS  200

static struct report_page *map_page(const struct world *world)
{
	struct report_page *page;

	require(report_page_map(world->vm.opening.report_fd, &page) == 0,
		"the report page is mapped");
	return page;
}

static void tell(struct report_page *page, const struct order *order, uint64_t id, bool failed)
{
	report_page_write(page, &order->place, id, failed ? 0 : 1, failed);
}

/* What gmemd takes the memory for by now. */
static bool is_used(struct world *world, const struct order *memory)
{
	return close_memory(world, memory->memory) == -EREMOTEIO && reason_is("conflict");
}

static void lie_about_slots(
	struct world *world, struct report_page *page, const struct order *memory, int fd)
{
	struct order slot, end;

	require(order_slot(world, 1, ADDRESS, memory->memory, fd, &slot) == 0,
		"gmemd writes a slot");
	tell(page, &slot, slot.call, /* failed= */ false);
	verdict(is_used(world, memory), "a word says so of a slot never bound: it is believed");
	refused(EINVAL, trigger(world, &slot), "binding it then after all");
	require(order_unbind(world, 1, &end) == 0, "gmemd writes its end");
	tell(page, &end, slot.call, /* failed= */ false);
	verdict(is_used(world, memory), "the word of the call before is none");
	tell(page, &end, UINT64_MAX, /* failed= */ false);
	verdict(is_used(world, memory), "a word of ones alone is none");
	tell(page, &end, end.call, /* failed= */ true);
	verdict(is_used(world, memory), "its end is said to have failed");
	require(order_unbind(world, 1, &end) == 0, "gmemd writes its end again");
	tell(page, &end, end.call, /* failed= */ false);
	verdict(report(world, &end, -1) == -EREMOTEIO && reason_is("not_found"),
		"what was told by a word can't be told again");
}

static void words_for_creations(struct world *world, struct report_page *page)
{
	struct order memory, slot;
	int fd;

	require(order_memory(world, PAGE, &memory) == 0, "gmemd writes a creation");
	slot = (struct order){.place = report_place_of(world->layout, MAILBOX_CREATE, 0,
				      entries_of(MAILBOX_CREATE))};
	report_page_write(page, &slot.place, memory.call, slot.place.count, /* failed= */ false);
	verdict(order_slot(world, 1, ADDRESS, memory.memory, 0, &slot) == -EREMOTEIO &&
			reason_is("busy"),
		"no word makes a memory ready whose file gmemd has not");
	fd = trigger(world, &memory);
	require(fd >= 0, "it creates");
	verdict(report(world, &memory, fd) == 0 && close_memory(world, memory.memory) == 0,
		"control: its report does");
	close(fd);
}

static void try_file(const struct world *world)
{
	const int fd = world->vm.opening.report_fd;
	const off_t length = (off_t)report_page_length();

	refused(EPERM, ftruncate(fd, 0), "shortening the report page");
	refused(EPERM, ftruncate(fd, 2 * length), "lengthening it");
	refused(EPERM, fallocate(fd, FALLOC_FL_KEEP_SIZE, length, PAGE), "pages behind its end");
	refused(EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), "sealing it");
	refused(EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), "sealing it against others");
	refused(EPERM, fchmod(fd, 0666), "giving it another mode");
}

/* Threads that write while gmemd reads */

struct scribble {
	struct report_page *page;
	uint64_t avoided; /* the id that would be right */
	atomic_bool over;
};

static void *scribble(void *context)
{
	const struct report_place all = {
		.offset = 0, .stride = 8, .count = (unsigned)(report_page_length() / 8)};
	struct scribble *scribble = context;
	unsigned seed = 1;

	while (!atomic_load(&scribble->over)) {
		uint64_t word = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed);

		if ((word & ~REPORT_FAILED) != scribble->avoided)
			report_page_write(scribble->page, &all, word, all.count, false);
	}
	return NULL;
}

static void write_while_it_reads(
	struct world *world, struct report_page *page, const struct order *memory, int fd)
{
	struct scribble context = {.page = page};
	struct order slot, other;
	bool right = true;
	pthread_t thread;

	require(order_slot(world, 1, ADDRESS, memory->memory, fd, &slot) == 0,
		"gmemd writes a slot");
	context.avoided = slot.call;
	require(pthread_create(&thread, NULL, scribble, &context) == 0, "a thread");
	for (unsigned i = 0; i < ROUNDS; i++)
		right &= order_slot(world, 1, ADDRESS, memory->memory, fd, &other) == -EREMOTEIO &&
			 is_used(world, memory);
	atomic_store(&context.over, true);
	pthread_join(thread, NULL);
	verdict(right, "random words while gmemd reads settle nothing");
	require(trigger(world, &slot) == 0, "the slot is bound");
	tell(page, &slot, slot.call, /* failed= */ false);
	require(order_unbind(world, 1, &slot) == 0 && trigger(world, &slot) == 0, "and unbound");
	tell(page, &slot, slot.call, /* failed= */ false);
}

void attack_report_page(struct world *world)
{
	struct report_page *page = map_page(world);
	struct order memory;
	int fd;

	try_file(world);
	words_for_creations(world, page);
	fd = make_memory(world, PAGE, &memory);
	lie_about_slots(world, page, &memory, fd);
	write_while_it_reads(world, page, &memory, fd);
	verdict(close_memory(world, memory.memory) == 0, "control: the memory can be given back");
	close(fd);
	report_page_free(page);
	control(world);
}
