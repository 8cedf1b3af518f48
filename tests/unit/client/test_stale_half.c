/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libgmem gives back of the half that a conversion has left, and what it leaves to gmemd. Two
 * memfds are the halves.
 */
#include "client/lib/stale_half.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/host/memory_file.h"
#include "tests/lib/unit.h"

#define PAGE  UINT64_C(4096)
#define SIZE  (UINT64_C(8) << 20)
#define LARGE (UINT64_C(2) << 20) /* is the largest that libgmem gives back */
#define BASE  UINT64_C(0x1000000)
#define SLOTS 2

/* A VM of two slots, one behind the other, each of half of both memories, which is the other half
 * of them in the second. */
struct held_vm {
	struct gmem_vm vm;
	struct gmem_memory private, shared;
	struct bound_slot slots[SLOTS];
};

/* Nobody needs to answer there. */
static struct gmem *connect_to_nobody(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct gmem *gmem = NULL;

	snprintf(address.sun_path, sizeof address.sun_path, "/tmp/gmemd-test-%d", getpid());
	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
	CU_ASSERT_EQUAL_FATAL(gmem_connect(address.sun_path, &gmem), 0);
	unlink(address.sun_path);
	close(listener);
	return gmem;
}

static void fill(const struct gmem_memory *memory)
{
	CU_ASSERT_EQUAL_FATAL(fallocate(memory->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)SIZE), 0);
}

static void make_memory(struct held_vm *held, struct gmem_memory *memory)
{
	memory->vm = &held->vm;
	memory->size = SIZE;
	memory->id = memory == &held->private ? 1 : 2;
	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("half", SIZE, &memory->fd), 0);
	LIST_INSERT_HEAD(&held->vm.memories, memory, link);
	fill(memory);
}

static void open_vm(struct held_vm *held)
{
	*held = (struct held_vm){.vm = {.gmem = connect_to_nobody()}};
	conversions_init(&held->vm.conversions);
	make_memory(held, &held->private);
	make_memory(held, &held->shared);
	for (unsigned i = 0; i < SLOTS; i++) {
		held->slots[i].slot = (struct gmem_slot){.slot = i,
			.guest_phys_addr = BASE + i * SIZE / 2,
			.memory_size = SIZE / 2,
			.memory = &held->private,
			.guest_memfd_offset = i * SIZE / 2,
			.shared_memory = &held->shared,
			.shared_offset = SIZE / 2 - i * SIZE / 2};
		held->slots[i].memories = slot_memories(&held->slots[i].slot);
		LIST_INSERT_HEAD(&held->vm.slots, &held->slots[i], link);
	}
}

static void close_vm(struct held_vm *held)
{
	conversions_clear(&held->vm.conversions);
	close(held->private.fd);
	close(held->shared.fd);
	gmem_free(held->vm.gmem);
}

static uint64_t resident(const struct gmem_memory *memory, uint64_t offset, uint64_t size)
{
	uint64_t bytes = 0;

	memory_file_resident_range(memory->fd, offset, size, &bytes);
	return bytes;
}

static uint64_t left(const struct gmem_memory *memory)
{
	return resident(memory, 0, SIZE);
}

/* They are so, by what is noted. */
static bool give_back(
	struct held_vm *held, enum gmem_state to, uint64_t at, uint64_t size, uint64_t *discarded)
{
	const struct gmem_range range = {BASE + at, size};

	conversions_note(&held->vm.conversions, to, &range, 1);
	return stale_half_give_back(&held->vm, to, &range, discarded);
}

static void test_each_half(void)
{
	struct held_vm held;
	uint64_t discarded = 1;

	open_vm(&held);
	CU_ASSERT_TRUE(give_back(&held, GMEM_PRIVATE, PAGE, 3 * PAGE, &discarded));
	CU_ASSERT_EQUAL(discarded, 1 + 3 * PAGE);
	CU_ASSERT_EQUAL(left(&held.private), SIZE);
	CU_ASSERT_EQUAL(resident(&held.shared, SIZE / 2 + PAGE, 3 * PAGE), 0);
	CU_ASSERT_EQUAL(left(&held.shared), SIZE - 3 * PAGE);
	CU_ASSERT_TRUE(give_back(&held, GMEM_SHARED, 2 * PAGE, PAGE, NULL));
	CU_ASSERT_EQUAL(resident(&held.private, 2 * PAGE, PAGE), 0);
	CU_ASSERT_EQUAL(left(&held.private), SIZE - PAGE);
	/* Nothing is there any more. */
	CU_ASSERT_TRUE(give_back(&held, GMEM_SHARED, 2 * PAGE, PAGE, &discarded));
	CU_ASSERT_EQUAL(discarded, 1 + 3 * PAGE);
	close_vm(&held);
}

static void test_two_slots(void)
{
	struct held_vm held;
	uint64_t discarded = 0;

	open_vm(&held);
	CU_ASSERT_TRUE(give_back(&held, GMEM_PRIVATE, SIZE / 2 - PAGE, 3 * PAGE, &discarded));
	CU_ASSERT_EQUAL(discarded, 3 * PAGE);
	CU_ASSERT_EQUAL(resident(&held.shared, SIZE - PAGE, PAGE), 0);
	CU_ASSERT_EQUAL(resident(&held.shared, 0, 2 * PAGE), 0);
	CU_ASSERT_EQUAL(left(&held.private), SIZE);
	close_vm(&held);
}

static void check_left_to_gmemd(struct held_vm *held, uint64_t at, uint64_t size)
{
	uint64_t discarded = 0, before = left(&held->shared);

	CU_ASSERT_FALSE(give_back(held, GMEM_PRIVATE, at, size, &discarded));
	CU_ASSERT_EQUAL(left(&held->shared) + discarded, before);
	CU_ASSERT_EQUAL(left(&held->private), SIZE);
}

static void test_left_to_gmemd(void)
{
	struct held_vm held;

	open_vm(&held);
	check_left_to_gmemd(&held, 0, LARGE + PAGE);
	CU_ASSERT_EQUAL(left(&held.shared), SIZE);
	check_left_to_gmemd(&held, SIZE - PAGE, 2 * PAGE); /* part of which no slot has */
	CU_ASSERT_EQUAL(left(&held.shared), SIZE - PAGE);
	LIST_REMOVE(&held.shared, link); /* it is closed */
	check_left_to_gmemd(&held, PAGE, PAGE);
	LIST_INSERT_HEAD(&held.vm.memories, &held.shared, link);
	held.slots[0].memories.shared_memory = 0; /* what is shared is the VMM's own */
	check_left_to_gmemd(&held, PAGE, PAGE);
	close_vm(&held);
}

/* What has made them private again since is not known here. */
static void test_other_state(void)
{
	const struct gmem_range range = {BASE, PAGE};
	struct held_vm held;

	open_vm(&held);
	conversions_note(&held.vm.conversions, GMEM_PRIVATE, &range, 1);
	CU_ASSERT_FALSE(stale_half_give_back(&held.vm, GMEM_SHARED, &range, NULL));
	CU_ASSERT_EQUAL(left(&held.private), SIZE);
	CU_ASSERT_EQUAL(left(&held.shared), SIZE);
	close_vm(&held);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"the half that is not in use, and its pages are counted", test_each_half},
		{"of two slots", test_two_slots},
		{"what is large, or not this process's, is gmemd's", test_left_to_gmemd},
		{"frames that are not so lose nothing", test_other_state},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "stale halves", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
