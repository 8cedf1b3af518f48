/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libgmem's conversions, reclaims and events, on a gmemd whose back end is the model: what a VMM of
 * a VM with private memory calls, on a host that has none.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"
#include "protocol/json.h"
#include "tests/lib/gmemd_process.h"
#include "tests/lib/unit.h"

#define PAGE  4096ull
#define PAGES 64ull
#define SIZE  (PAGES * PAGE)
#define BASE  (1ull << 32)

static struct gmemd_process gmemd;
static struct gmem *gmem;
static struct gmem_vm *vm;
static struct gmem_memory *private, *shared;
static char *shared_bytes;

/* Two slots next to each other on both halves. */
static void open_vm(enum gmem_state initial_state)
{
	struct gmem_vm_options options = {.name = "library",
		.type = "sw_protected",
		.commit_limit = SIZE,
		.initial_state = initial_state};
	struct gmem_memory_options memfd = {.backing = GMEM_BACKING_MEMFD};
	struct gmem_memory_options unmapped = {.flags = GMEM_MEMORY_NO_FLAGS};
	void *mapped;

	CU_ASSERT_EQUAL_FATAL(gmem_connect(gmemd.socket, &gmem), 0);
	CU_ASSERT_EQUAL_FATAL(gmem_vm_open(gmem, &options, &vm), 0);
	CU_ASSERT_EQUAL(gmem_vm_fd(vm), -1);
	CU_ASSERT_EQUAL_FATAL(gmem_memory_create(vm, SIZE, &unmapped, &private), 0);
	CU_ASSERT_EQUAL_FATAL(gmem_memory_create(vm, SIZE, &memfd, &shared), 0);
	CU_ASSERT_EQUAL_FATAL(gmem_memory_map(shared, 0, SIZE, PROT_READ | PROT_WRITE, &mapped), 0);
	shared_bytes = mapped;
	memset(shared_bytes, 's', SIZE);
	for (uint32_t i = 0; i < 2; i++) {
		struct gmem_slot slot = {.slot = i,
			.guest_phys_addr = BASE + i * SIZE / 2,
			.memory_size = SIZE / 2,
			.memory = private,
			.guest_memfd_offset = i * SIZE / 2,
			.shared_memory = shared,
			.shared_offset = i * SIZE / 2};

		CU_ASSERT_EQUAL(gmem_slot_bind(vm, &slot), 0);
	}
}

/* Its process can open the next VM after this. */
static void close_vm(void)
{
	CU_ASSERT_EQUAL(gmem_vm_close(vm), 0);
	munmap(shared_bytes, SIZE);
	shared = gmem_memory_free(shared);
	private = gmem_memory_free(private);
	vm = gmem_vm_free(vm);
	gmem = gmem_free(gmem);
}

static struct json_object *view(void)
{
	struct json_object *result;
	char params[128], *text;
	const char *why;

	snprintf(params, sizeof params, "{\"vm\":\"%s\"}", gmem_vm_id(vm));
	CU_ASSERT_EQUAL_FATAL(gmem_call(gmem, "vm.get", params, &text), 0);
	result = json_parse(text, strlen(text), &why);
	free(text);
	return result;
}

/* expected: as JSON, page numbers from BASE and numbers of pages. */
static void check_private(const char *expected)
{
	struct json_object *whole = view(), *list = json_get(whole, "private_ranges");
	char text[256] = "";

	for (size_t i = 0; i < json_length(list); i++) {
		uint64_t start = 0, size = 0;
		size_t used = strlen(text);

		json_get_uint(json_at(list, i), "guest_phys_addr", &start);
		json_get_uint(json_at(list, i), "size", &size);
		snprintf(text + used, sizeof text - used, "%s%llu+%llu", i > 0 ? " " : "",
			(unsigned long long)((start - BASE) / PAGE),
			(unsigned long long)(size / PAGE));
	}
	UNIT_ASSERT_ROW(strcmp(text, expected) == 0, "private: \"%s\", not \"%s\"", text, expected);
	json_unref(whole);
}

static uint64_t committed(void)
{
	struct json_object *whole = view();
	uint64_t bytes = 0;

	json_get_uint(whole, "committed", &bytes);
	json_unref(whole);
	return bytes;
}

static void test_convert(void)
{
	uint64_t discarded = 12345;

	open_vm(GMEM_SHARED);
	CU_ASSERT_EQUAL(committed(), SIZE);
	check_private("");
	CU_ASSERT_EQUAL(
		gmem_convert(vm, GMEM_PRIVATE, BASE + 30 * PAGE, 4 * PAGE, 0, &discarded), 0);
	CU_ASSERT_EQUAL(discarded, 4 * PAGE);
	check_private("30+4");
	CU_ASSERT_EQUAL(shared_bytes[30 * PAGE], 0);
	CU_ASSERT_EQUAL(shared_bytes[30 * PAGE - 1], 's');
	CU_ASSERT_EQUAL(shared_bytes[34 * PAGE], 's');
	CU_ASSERT_EQUAL(gmem_convert(vm, GMEM_SHARED, BASE + 31 * PAGE, PAGE, 0, NULL), 0);
	check_private("30+1 32+2");
	CU_ASSERT_EQUAL(gmem_convert(vm, GMEM_SHARED, BASE, SIZE, 0, NULL), 0);
	check_private("");
	close_vm();
}

static void test_convertv(void)
{
	struct gmem_range ranges[GMEM_RANGES_MAX + 1];
	uint64_t discarded = 0;

	open_vm(GMEM_SHARED);
	for (size_t i = 0; i < 16; i++)
		ranges[i] = (struct gmem_range){BASE + 4 * i * PAGE, PAGE};
	CU_ASSERT_EQUAL(gmem_convertv(vm, GMEM_PRIVATE, ranges, 16, 0, &discarded), 0);
	CU_ASSERT_EQUAL(discarded, 16 * PAGE);
	check_private(
		"0+1 4+1 8+1 12+1 16+1 20+1 24+1 28+1 32+1 36+1 40+1 44+1 48+1 52+1 56+1 60+1");
	CU_ASSERT_EQUAL(gmem_convertv(vm, GMEM_PRIVATE, ranges, 0, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(gmem_convertv(vm, 2, ranges, 1, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(gmem_convertv(vm, GMEM_SHARED, ranges, 1, 2, NULL), -EINVAL);
	CU_ASSERT_EQUAL(
		gmem_convertv(vm, GMEM_SHARED, ranges, GMEM_RANGES_MAX + 1, 0, NULL), -E2BIG);
	ranges[15].guest_phys_addr = 0;
	CU_ASSERT_EQUAL(gmem_convertv(vm, GMEM_PRIVATE, ranges, 16, 0, NULL), -EREMOTEIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "ranges[15].guest_phys_addr"));
	check_private(
		"0+1 4+1 8+1 12+1 16+1 20+1 24+1 28+1 32+1 36+1 40+1 44+1 48+1 52+1 56+1 60+1");
	close_vm();
}

/* The largest batch fits a packet with the longest addresses, and all of it is refused or done. */
static void test_largest_batch(void)
{
	struct gmem_range ranges[GMEM_RANGES_MAX];

	open_vm(GMEM_SHARED);
	for (size_t i = 0; i < GMEM_RANGES_MAX; i++)
		ranges[i] = (struct gmem_range){(1ull << 52) + 2 * i * PAGE, PAGE << 40};
	CU_ASSERT_EQUAL(
		gmem_convertv(vm, GMEM_PRIVATE, ranges, GMEM_RANGES_MAX, 0, NULL), -EREMOTEIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "ranges[0].guest_phys_addr"));
	close_vm();
}

static void test_keep(void)
{
	uint64_t discarded = 12345;

	open_vm(GMEM_SHARED);
	/* Both halves would cost more than the VM's limit. */
	CU_ASSERT_EQUAL(gmem_convert(vm, GMEM_PRIVATE, BASE, PAGE, GMEM_CONVERT_KEEP, &discarded),
		-EREMOTEIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "budget_exceeded"));
	CU_ASSERT_EQUAL(discarded, 12345);
	check_private("");
	CU_ASSERT_EQUAL(shared_bytes[0], 's');
	close_vm();
}

static void test_initially_private(void)
{
	open_vm(GMEM_PRIVATE);
	check_private("0+64");
	CU_ASSERT_EQUAL(gmem_slot_unbind(vm, 1), 0);
	check_private("0+64"); /* the kernel's attributes outlive a slot */
	close_vm();
}

static int fault(
	uint64_t flags, uint64_t guest_phys_addr, uint64_t size, int error, enum gmem_fault means)
{
	static struct kvm_run run; /* the vCPU's */
	const struct {
		uint64_t flags, guest_phys_addr, size;
	} exit = {flags, guest_phys_addr, size};

	run.exit_reason = KVM_EXIT_MEMORY_FAULT;
	memcpy(&run.hw, &exit, sizeof exit);
	return gmem_memory_fault(vm, &run, error, means);
}

static int wish(uint64_t flags, uint64_t guest_phys_addr, uint64_t size)
{
	return fault(flags, guest_phys_addr, size, EFAULT, GMEM_FAULT_WISHED);
}

static void test_memory_fault(void)
{
	struct kvm_run run = {.exit_reason = KVM_EXIT_MMIO};

	open_vm(GMEM_SHARED);
	CU_ASSERT_EQUAL(wish(KVM_MEMORY_EXIT_FLAG_PRIVATE, BASE + 5 * PAGE, PAGE), 0);
	check_private("5+1");
	/* another vCPU was first */
	CU_ASSERT_EQUAL(wish(KVM_MEMORY_EXIT_FLAG_PRIVATE, BASE + 5 * PAGE, PAGE), 0);
	CU_ASSERT_EQUAL(wish(KVM_MEMORY_EXIT_FLAG_PRIVATE, BASE + 8 * PAGE + 7, PAGE), 0);
	check_private("5+1 8+2");
	CU_ASSERT_EQUAL(wish(0, BASE + 9 * PAGE - 1, 1), 0);
	check_private("5+1 9+1");
	CU_ASSERT_EQUAL(wish(1, BASE, PAGE), -EINVAL);
	CU_ASSERT_EQUAL(wish(0, BASE, 0), -EINVAL);
	CU_ASSERT_EQUAL(wish(0, UINT64_MAX - 1, PAGE), -EINVAL);
	CU_ASSERT_EQUAL(wish(KVM_MEMORY_EXIT_FLAG_PRIVATE, BASE + SIZE, PAGE), -EREMOTEIO);
	CU_ASSERT_EQUAL(gmem_memory_fault(vm, &run, EFAULT, GMEM_FAULT_WISHED), -EINVAL);
	CU_ASSERT_EQUAL(fault(0, BASE, PAGE, 0, GMEM_FAULT_WISHED), -EINVAL);
	check_private("5+1 9+1");
	close_vm();
}

/* What KVM_RUN fails with, and what KVM has found: nothing of it is a wish. */
static void test_memory_fault_without_wish(void)
{
	const uint64_t found = KVM_MEMORY_EXIT_FLAG_PRIVATE;

	open_vm(GMEM_SHARED);
	CU_ASSERT_EQUAL(fault(found, BASE, PAGE, ENOMEM, GMEM_FAULT_WISHED), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "cgroup"));
	CU_ASSERT_EQUAL(fault(found, BASE, PAGE, EHWPOISON, GMEM_FAULT_FOUND), -EHWPOISON);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "poisoned"));
	/* It is as found: then its page is missing. */
	CU_ASSERT_EQUAL(fault(0, BASE, PAGE, EFAULT, GMEM_FAULT_FOUND), -EFAULT);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "closed"));
	/* It is not as found: once, until anything has changed. */
	CU_ASSERT_EQUAL(fault(found, BASE, PAGE, EFAULT, GMEM_FAULT_FOUND), 0);
	CU_ASSERT_EQUAL(fault(found, BASE, PAGE, EFAULT, GMEM_FAULT_FOUND), -EFAULT);
	CU_ASSERT_EQUAL(fault(found, BASE, PAGE, EFAULT, GMEM_FAULT_FOUND), 0);
	CU_ASSERT_EQUAL(fault(found, BASE + PAGE, PAGE, EFAULT, GMEM_FAULT_FOUND), 0);
	CU_ASSERT_EQUAL(gmem_convert(vm, GMEM_PRIVATE, BASE + 3 * PAGE, PAGE, 0, NULL), 0);
	CU_ASSERT_EQUAL(fault(found, BASE + PAGE, PAGE, EFAULT, GMEM_FAULT_FOUND), 0);
	check_private("3+1");
	close_vm();
}

static void test_reclaim(void)
{
	struct gmem_memory_range ranges[GMEM_RANGES_MAX + 1];
	uint64_t reclaimed = 12345;

	open_vm(GMEM_SHARED);
	CU_ASSERT_EQUAL(gmem_memory_reclaim(shared, 2 * PAGE, 3 * PAGE, &reclaimed), 0);
	CU_ASSERT_EQUAL(reclaimed, 3 * PAGE);
	CU_ASSERT_EQUAL(shared_bytes[2 * PAGE - 1], 's');
	CU_ASSERT_EQUAL(shared_bytes[2 * PAGE], 0);
	CU_ASSERT_EQUAL(shared_bytes[5 * PAGE], 's');
	for (size_t i = 0; i < GMEM_RANGES_MAX; i++)
		ranges[i] = (struct gmem_memory_range){i % PAGES * PAGE, PAGE};
	CU_ASSERT_EQUAL(gmem_memory_reclaimv(shared, ranges, GMEM_RANGES_MAX, &reclaimed), 0);
	CU_ASSERT_EQUAL(reclaimed, SIZE - 2 * PAGE); /* one of the three was read since */
	CU_ASSERT_EQUAL(gmem_memory_reclaimv(shared, ranges, 1, NULL), 0);
	CU_ASSERT_EQUAL(gmem_memory_reclaimv(shared, ranges, 0, &reclaimed), -EINVAL);
	CU_ASSERT_EQUAL(
		gmem_memory_reclaimv(shared, ranges, GMEM_RANGES_MAX + 1, &reclaimed), -E2BIG);
	CU_ASSERT_EQUAL(gmem_memory_reclaim(shared, PAGE, SIZE, &reclaimed), -EREMOTEIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "ranges[0].size"));
	CU_ASSERT_EQUAL(reclaimed, SIZE - 2 * PAGE);
	close_vm();
}

static void count_call(const struct gmem_pressure *pressure, void *context)
{
	(void)pressure;
	++*(unsigned *)context;
}

/* Other events stay for who asks for the next. That the handler is called is the example VMM's. */
/* By another process, whose connection is its own. */
static void open_granted(void *context)
{
	const uint64_t *memory = context;
	uint64_t size = 0;
	struct gmem *own;
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(gmem_connect(gmemd.socket, &own), 0);
	CU_ASSERT_EQUAL_FATAL(gmem_open_granted(own, *memory, &fd, &size), 0);
	CU_ASSERT_EQUAL(size, SIZE);
	CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_END), (off_t)SIZE);
	CU_ASSERT_EQUAL(gmem_open_granted(own, *memory, &fd, NULL), -EREMOTEIO);
	close(fd);
	gmem_free(own);
}

static void test_grant(void)
{
	struct gmem_grantee user = {GMEM_GRANT_TO_UID, getuid(), /* once= */ 1};
	const struct gmem_grantee nobody = {7, 0, 0};
	uint64_t grant = 0, id;

	open_vm(GMEM_SHARED);
	id = gmem_memory_id(shared);
	CU_ASSERT_EQUAL(gmem_memory_grant(shared, &nobody, &grant), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(gmem_memory_grant(shared, &user, &grant), 0);
	CU_ASSERT_NOT_EQUAL(grant, 0);
	unit_in_child(open_granted, &id);
	user.kind = GMEM_GRANT_TO_PIDFD;
	user.number = 9999;
	CU_ASSERT_EQUAL(gmem_memory_grant(shared, &user, NULL), -EREMOTEIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "to.pidfd"));
	close_vm();
}

static void test_dispatch(void)
{
	unsigned calls = 0;
	char *event;

	CU_ASSERT_EQUAL_FATAL(gmem_connect(gmemd.socket, &gmem), 0);
	CU_ASSERT_EQUAL(gmem_dispatch(gmem), 0);
	CU_ASSERT_EQUAL(gmem_set_pressure_handler(gmem, count_call, &calls), 0);
	gmem_free(gmem);
	open_vm(GMEM_SHARED);
	CU_ASSERT_EQUAL(gmem_set_pressure_handler(gmem, count_call, &calls), 0);
	CU_ASSERT_EQUAL(gmem_slot_unbind(vm, 1), 0);
	CU_ASSERT_EQUAL(gmem_dispatch(gmem), 0);
	CU_ASSERT_EQUAL(calls, 0);
	CU_ASSERT_EQUAL_FATAL(gmem_next_event(gmem, 0, &event), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(event, "slot_unbound"));
	free(event);
	CU_ASSERT_EQUAL(gmem_next_event(gmem, 0, &event), -ETIMEDOUT);
	CU_ASSERT_EQUAL(gmem_set_pressure_handler(gmem, NULL, NULL), 0);
	close_vm();
}

/* Options of zeroes, and flags that don't exist. */
static void test_options(void)
{
	const struct gmem_memory_options zeroes = {.name = NULL};
	const struct gmem_memory_options wrong[] = {
		{.flags = 1u << 2},
		{.flags = GMEM_MEMORY_NO_FLAGS | GMEM_MEMORY_MMAP},
		{.backing = 2},
		{.backing = GMEM_BACKING_MEMFD, .flags = GMEM_MEMORY_MMAP},
		{.page_size = GMEM_PAGES_2M},
	};
	const unsigned far = 1023;
	const struct gmem_memory_options refused[] = {
		{.backing = GMEM_BACKING_MEMFD, .page_size = PAGE},
		{.backing = GMEM_BACKING_MEMFD, .page_size = GMEM_PAGES_1G},
		{.node = &far},
	};
	struct gmem_slot slot = {.slot = 9, .memory_size = PAGE, .flags = 1u << 2};
	struct gmem_memory *memory;
	void *mapped;

	open_vm(GMEM_SHARED);
	CU_ASSERT_EQUAL_FATAL(gmem_memory_create(vm, 0, &zeroes, &memory), -EREMOTEIO);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		CU_ASSERT_EQUAL(gmem_memory_create(vm, PAGE, &refused[i], &memory), -EREMOTEIO);
	CU_ASSERT_EQUAL(gmem_slot_unbind(vm, 0), 0);
	CU_ASSERT_EQUAL(gmem_slot_unbind(vm, 1), 0);
	CU_ASSERT_EQUAL(gmem_memory_map(private, 0, PAGE, PROT_READ, &mapped), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "GMEM_MEMORY_MMAP"));
	CU_ASSERT_EQUAL(gmem_memory_close(private), 0);
	gmem_memory_free(private);
	CU_ASSERT_EQUAL_FATAL(gmem_memory_create(vm, SIZE, &zeroes, &private), 0);
	CU_ASSERT_EQUAL_FATAL(gmem_memory_map(private, 0, PAGE, PROT_READ, &mapped), 0);
	munmap(mapped, PAGE);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		CU_ASSERT_EQUAL(gmem_memory_create(vm, PAGE, &wrong[i], &memory), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "\"reason\":\"library\""));
	}
	CU_ASSERT_EQUAL(gmem_slot_bind(vm, &slot), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "GMEM_SLOT_READONLY"));
	close_vm();
}

/* Slots on both halves, of a VM that is private from the start, moved and put on the mapping. */
static void test_slot_change(void)
{
	struct gmem_slot moved = {.slot = 7, .guest_phys_addr = BASE, .memory_size = SIZE / 4};
	struct gmem_slot mapped = {.slot = 8,
		.flags = GMEM_SLOT_THROUGH_MAPPING | GMEM_SLOT_READONLY,
		.guest_phys_addr = 2 * BASE,
		.memory_size = PAGE};
	const struct gmem_slot_change changes[] = {
		{.unbind = 0}, {.bind = &moved}, {.unbind = 1}, {.bind = &mapped}};
	const struct gmem_slot_change twice[] = {{.unbind = 7}, {.unbind = 7}};
	size_t done = 99;

	open_vm(GMEM_PRIVATE);
	check_private("0+64");
	moved.memory = private;
	moved.shared_memory = mapped.memory = shared;
	mapped.userspace_addr = (uintptr_t)shared_bytes;
	CU_ASSERT_EQUAL(gmem_slot_change(vm, changes, 4, NULL, &done), 0);
	CU_ASSERT_EQUAL(done, 4);
	check_private("0+64");
	CU_ASSERT_EQUAL(gmem_slot_change(vm, twice, 2, NULL, &done), -EREMOTEIO);
	CU_ASSERT_EQUAL(done, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "\"change\":1"));
	mapped.flags |= GMEM_SLOT_LOG_DIRTY_PAGES;
	CU_ASSERT_EQUAL(gmem_slot_bind(vm, &mapped), 0);
	mapped.userspace_addr += 4 * PAGE;
	mapped.slot = 9;
	mapped.guest_phys_addr = 3 * BASE;
	CU_ASSERT_EQUAL(gmem_slot_bind(vm, &mapped), -EREMOTEIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "userspace_addr"));
	CU_ASSERT_EQUAL(gmem_slot_unbind(vm, 8), 0);
	CU_ASSERT_EQUAL(gmem_slot_unbind(vm, 7), 0);
	CU_ASSERT_EQUAL(gmem_slot_change(vm, changes, 0, NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(
		gmem_slot_change(vm, changes, GMEM_SLOT_CHANGES_MAX + 1, NULL, NULL), -E2BIG);
	close_vm();
}

/* No call fails with an errno alone. */
static void test_own_errors(void)
{
	const struct gmem_vm_options no_name = {.type = NULL}, no_gate = {.name = "x", .gate = 7},
				     no_state = {.name = "x", .initial_state = 2};
	struct gmem_vm *other;
	char *text;
	void *mapped;

	CU_ASSERT_EQUAL(gmem_connect("/nowhere/gmemd.sock", &gmem), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "/nowhere/gmemd.sock"));
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_error(), "\"errno\":\"ENOENT\""));
	open_vm(GMEM_SHARED);
	CU_ASSERT_EQUAL(gmem_vm_open(gmem, NULL, &other), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "options"));
	CU_ASSERT_EQUAL(gmem_vm_open(gmem, &no_name, &other), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "name"));
	CU_ASSERT_EQUAL(gmem_vm_open(gmem, &no_gate, &other), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "not 7"));
	CU_ASSERT_EQUAL(gmem_vm_open(gmem, &no_state, &other), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "not 2"));
	CU_ASSERT_EQUAL(gmem_convertv(vm, GMEM_PRIVATE, NULL, 0, 0, NULL), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "count"));
	CU_ASSERT_EQUAL(gmem_memory_map(shared, SIZE, PAGE, PROT_READ, &mapped), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "within the memory"));
	CU_ASSERT_EQUAL(gmem_memory_map(shared, 0, PAGE, PROT_EXEC, &mapped), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "PROT_EXEC"));
	CU_ASSERT_EQUAL(gmem_call(gmem, "ping", "[]", &text), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "JSON object"));
	CU_ASSERT_EQUAL(gmem_next_event(gmem, 0, &text), -ETIMEDOUT);
	CU_ASSERT_STRING_NOT_EQUAL(gmem_last_error(), "{}");
	CU_ASSERT_EQUAL(gmem_call(gmem, "ping", NULL, &text), 0);
	free(text);
	CU_ASSERT_STRING_EQUAL(gmem_last_error(), "{}");
	CU_ASSERT_STRING_EQUAL(gmem_last_message(), "");
	close_vm();
}

/* What gmemd can't read it answers without an id. */
static void test_unreadable(void)
{
	char *text;

	CU_ASSERT_EQUAL_FATAL(gmem_connect(gmemd.socket, &gmem), 0);
	CU_ASSERT_EQUAL(gmem_call(gmem, "p\xff", NULL, &text), -EREMOTEIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "not UTF-8"));
	CU_ASSERT_EQUAL(gmem_call(gmem, "ping", NULL, &text), 0);
	free(text);
	CU_ASSERT_EQUAL(gmem_call(gmem, "\033[2J", NULL, &text), -EREMOTEIO);
	CU_ASSERT_PTR_NULL(strchr(gmem_last_message(), '\033'));
	gmem = gmem_free(gmem);
}

static void test_order_of_freeing(void)
{
	open_vm(GMEM_SHARED);
	CU_ASSERT_PTR_EQUAL(gmem_free(gmem), gmem);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "gmem_vm_free()"));
	CU_ASSERT_PTR_EQUAL(gmem_vm_free(vm), vm);
	CU_ASSERT_PTR_NOT_NULL(strstr(gmem_last_message(), "gmem_memory_free()"));
	CU_ASSERT_EQUAL(committed(), SIZE); /* all of it goes on */
	close_vm();
	CU_ASSERT_PTR_NULL(gmem);
}

/* The number of the first call that a child of fork() could make; 0: none. */
static int call_all_as_child(void)
{
	struct gmem_slot slot = {.slot = 5, .memory_size = PAGE, .memory = shared};
	struct gmem_vm_options options = {.name = "child"};
	struct gmem_memory_options memfd = {.backing = GMEM_BACKING_MEMFD};
	struct kvm_run run = {.exit_reason = KVM_EXIT_MEMORY_FAULT};
	struct gmem_memory *memory;
	struct gmem_vm *other;
	void *mapped;
	char *text;
	const int results[] = {
		gmem_fd(gmem),
		gmem_call(gmem, "ping", NULL, &text),
		gmem_next_event(gmem, 0, &text),
		gmem_set_pressure_handler(gmem, NULL, NULL),
		gmem_dispatch(gmem),
		gmem_vm_open(gmem, &options, &other),
		gmem_vm_fd(vm),
		gmem_vm_kvm_fd(vm),
		gmem_memory_create(vm, PAGE, &memfd, &memory),
		gmem_memory_fd(shared),
		gmem_memory_map(shared, 0, PAGE, PROT_READ, &mapped),
		gmem_memory_reclaim(shared, 0, PAGE, NULL),
		gmem_slot_bind(vm, &slot),
		gmem_slot_unbind(vm, 0),
		gmem_convert(vm, GMEM_PRIVATE, BASE, PAGE, 0, NULL),
		gmem_memory_fault(vm, &run, EFAULT, GMEM_FAULT_FOUND),
		gmem_memory_close(shared),
		gmem_vm_close(vm),
	};

	for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
		if (results[i] != -ECHILD)
			return (int)i + 1;
	}
	return strstr(gmem_last_message(), "child") ? 0 : 100;
}

static void free_all_as_child(void)
{
	shared = gmem_memory_free(shared);
	private = gmem_memory_free(private);
	vm = gmem_vm_free(vm);
	gmem = gmem_free(gmem);
}

static void *hold_turn(void *context)
{
	char *text;

	(void)context;
	gmem_next_event(gmem, 300, &text);
	return NULL;
}

/* AddressSanitizer's allocator does not see to its locks at a fork(2): a child could wait for one
 * that another thread of its parent had. */
#ifdef __SANITIZE_ADDRESS__
#define FORK_AMID_CALL 0
#else
#define FORK_AMID_CALL 1
#endif

/* While another thread of the parent is amid a call. */
static void test_fork(void)
{
	pthread_t thread = 0;
	int status = -1;
	pid_t pid;

	open_vm(GMEM_SHARED);
	if (FORK_AMID_CALL)
		pthread_create(&thread, NULL, hold_turn, NULL);
	else
		printf("# skipped: a child of a process with threads: AddressSanitizer may hang in "
		       "it\n");
	for (int i = 0; i < 50; i++) {
		pid = fork();
		if (pid == 0) {
			alarm(60);
			status = call_all_as_child();
			free_all_as_child();
			_exit(status);
		}
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		UNIT_ASSERT_ROW(status == 0, "the child ended with 0x%x", status);
		check_private("");
	}
	if (FORK_AMID_CALL)
		pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(committed(), SIZE);
	close_vm();
}

int main(int argc, char **argv)
{
	CU_TestInfo tests[] = {
		{"one range", test_convert},
		{"many ranges", test_convertv},
		{"as many as one call takes", test_largest_batch},
		{"keeping what goes stale", test_keep},
		{"private from the start", test_initially_private},
		{"KVM_EXIT_MEMORY_FAULT", test_memory_fault},
		{"KVM_EXIT_MEMORY_FAULT that is no wish", test_memory_fault_without_wish},
		{"giving pages back", test_reclaim},
		{"a memory for another process", test_grant},
		{"dispatching events", test_dispatch},
		{"several slots at once", test_slot_change},
		{"options", test_options},
		{"errors of the library's own", test_own_errors},
		{"what gmemd can't read", test_unreadable},
		{"the order of freeing", test_order_of_freeing},
		{"children of fork()", test_fork},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "libgmem on the model", .pTests = tests}, CU_SUITE_INFO_NULL};
	int status;

	if (argc != 2 || gmemd_process_start(argv[1], "model", "", &gmemd) < 0)
		return EXIT_FAILURE;
	status = unit_main(suites);
	gmemd_process_end(&gmemd);
	return status;
}
