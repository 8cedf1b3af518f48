/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate's filter at every edge of its comparisons: by an interpreter, and by the kernel that
 * will run it.
 */
#include "kernel/kvm/gate_filter.h"
#include "kernel/kvm/gate_rules.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/uapi.h"
#include "kernel/kvm/gate.h"
#include "kernel/kvm/mailbox.h"
#include "tests/lib/bpf.h"
#include "tests/lib/gated.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"

#ifdef __x86_64__
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define REFUSED  (SECCOMP_RET_ERRNO | EPERM)
#define FOUR_GIB 0x100000000ull

static const uint32_t area_requests[MAILBOX_COMMANDS] = {
	KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION2, KVM_SET_MEMORY_ATTRIBUTES};
static const uint32_t area_actions[MAILBOX_COMMANDS] = {
	SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW};

/* Every command that the filter knows, and what comes of it with a pointer to no entry. */
static const struct {
	uint32_t request;
	uint32_t action;
} commands[] = {
	{KVM_CREATE_VM, SECCOMP_RET_USER_NOTIF},
	{KVM_CREATE_GUEST_MEMFD, REFUSED},
	{KVM_SET_USER_MEMORY_REGION2, REFUSED},
	{KVM_SET_MEMORY_ATTRIBUTES, REFUSED},
	{KVM_SET_USER_MEMORY_REGION, REFUSED},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static void areas_of(struct mailbox_area areas[MAILBOX_COMMANDS])
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		areas[command] = mailbox_area(command);
}

/* A proper layout, for tests that spoil it. */
static void plain_areas(struct mailbox_area areas[MAILBOX_COMMANDS])
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++)
		areas[command] = (struct mailbox_area){
			.request = area_requests[command],
			.address = 0x10000000 + command * 4 * page_size(),
			.length = 2 * page_size(),
			.stride = 64,
		};
}

static uint32_t run(const struct gate_filter *filter, const struct seccomp_data *data)
{
	return bpf_run(filter->program, filter->length, data);
}

static uint32_t run_ioctl(const struct gate_filter *filter, uint64_t request, uint64_t pointer)
{
	struct seccomp_data data = {
		.nr = __NR_ioctl,
		.arch = OWN_ARCHITECTURE,
		.instruction_pointer = 0x1234567890,
		.args = {3, request, pointer, 0, 0, 0},
	};

	return run(filter, &data);
}

/*
 * Calls check(request, pointer, expected, context) for every edge of one area: all its entries and
 * what lies next to them, its ends, and the same addresses 4 GiB away.
 */
typedef void (*edge_check)(uint64_t request, uint64_t pointer, uint32_t expected, void *context);

static void entry_edges(
	const struct mailbox_area *area, uint32_t action, edge_check check, void *context)
{
	for (uint64_t offset = 0; offset < area->length; offset += area->stride) {
		uint64_t entry = area->address + offset;

		check(area->request, entry, action, context);
		for (uint64_t bit = 1; bit < area->stride; bit <<= 1)
			check(area->request, entry + bit, REFUSED, context);
		check(area->request, entry ^ FOUR_GIB, REFUSED, context);
	}
}

static void outer_edges(const struct mailbox_area *area, edge_check check, void *context)
{
	uint64_t end = area->address + area->length;
	uint64_t last = end - area->stride;
	const uint64_t outside[] = {area->address - area->stride, area->address - 1, end,
		end + area->stride, last ^ FOUR_GIB, area->address | 0xffffffffull << 32,
		area->address ^ 1ull << 63, area->address ^ 1ull << 31, 0, UINT64_MAX,
		UINT64_MAX - area->stride + 1};

	if (area->stride > 1)
		check(area->request, end - 1, REFUSED, context);
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
		if (outside[i] - area->address >= area->length)
			check(area->request, outside[i], REFUSED, context);
	}
}

static void each_edge(
	const struct mailbox_area areas[MAILBOX_COMMANDS], edge_check check, void *context)
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		entry_edges(&areas[command], area_actions[command], check, context);
		outer_edges(&areas[command], check, context);
		for (unsigned other = 0; other < MAILBOX_COMMANDS; other++) {
			if (other != command)
				check(area_requests[command], areas[other].address, REFUSED,
					context);
		}
	}
}

/* By the interpreter */

/* The kernel takes an ioctl's command as 32 bits, so its upper half must change nothing. */
static void check_interpreted(uint64_t request, uint64_t pointer, uint32_t expected, void *context)
{
	const uint64_t upper[] = {0, 1, 0xffffffff};

	for (size_t i = 0; i < 3; i++) {
		uint32_t action = run_ioctl(context, request | upper[i] << 32, pointer);

		UNIT_ASSERT_ROW(action == expected,
			"request 0x%llx pointer 0x%llx gives 0x%x, expected 0x%x",
			(unsigned long long)(request | upper[i] << 32), (unsigned long long)pointer,
			action, expected);
	}
}

static void check_areas(const struct mailbox_area areas[MAILBOX_COMMANDS])
{
	struct gate_filter filter;

	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	each_edge(areas, check_interpreted, &filter);
}

static void test_pointers_of_the_mailbox(void)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct mailbox *mailbox;

	CU_ASSERT_EQUAL_FATAL(mailbox_new("mailbox", MAILBOX_WRITER_ALONE, &mailbox), 0);
	areas_of(areas);
	mailbox_free(mailbox);
	check_areas(areas);
}

static void test_pointers_of_other_layouts(void)
{
	const uint64_t page = page_size();
	const struct {
		uint64_t address, length, stride;
	} layouts[] = {
		{0, page, 64},                          /* at NULL */
		{FOUR_GIB - page, page, 256},           /* ends at 4 GiB */
		{FOUR_GIB, page, 256},                  /* begins there */
		{FOUR_GIB - 4 * page, 4 * page, page},  /* one entry per page */
		{3 * FOUR_GIB - page, page, 1},         /* any byte is an entry */
		{0x7fffffff0000, 0x10000, 32},          /* both halves set */
		{0x80000000 - page, 2 * page, 512},     /* across the sign bit */
		{UINT64_MAX - 2 * page + 1, page, 128}, /* the last but one page */
		{5 * FOUR_GIB, 16 * page, 2048},
	};

	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
		for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
			struct mailbox_area areas[MAILBOX_COMMANDS];

			plain_areas(areas);
			areas[command].address = layouts[i].address;
			areas[command].length = layouts[i].length;
			areas[command].stride = layouts[i].stride;
			check_areas(areas);
		}
	}
}

static void test_areas_side_by_side(void)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];

	plain_areas(areas);
	areas[1].address = areas[0].address + areas[0].length;
	areas[2].address = areas[0].address - areas[2].length;
	check_areas(areas);
}

/* All 2^16 sizes and directions of each command: with an entry of its own area, only the exact
 * command passes. */
static void test_sizes_and_directions(void)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;

	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	for (unsigned i = 0; i < COMMANDS; i++) {
		uint32_t exact = commands[i].request;

		for (uint32_t upper = 0; upper <= 0xffff; upper++) {
			uint32_t request = upper << 16 | (exact & 0xffff);
			bool has_area = i >= 1 && i <= MAILBOX_COMMANDS;
			uint64_t pointer = has_area ? areas[i - 1].address : 0;
			uint32_t own = has_area ? area_actions[i - 1] : commands[i].action;
			uint32_t expected = request == exact ? own : REFUSED;

			if (run_ioctl(&filter, request, pointer) != expected)
				UNIT_ASSERT_ROW(false, "request 0x%x", request);
		}
	}
}

/* A closed gate lets KVM_CREATE_VM run, and of the others nothing, wherever they point. */
static void test_closed(void)
{
	struct gate_filter filter;

	gate_filter_build_closed(&filter);
	for (unsigned i = 0; i < COMMANDS; i++) {
		for (uint32_t upper = 0; upper <= 0xffff; upper++) {
			uint32_t request = upper << 16 | (commands[i].request & 0xffff);
			uint32_t expected = request == KVM_CREATE_VM ? SECCOMP_RET_ALLOW : REFUSED;

			if (run_ioctl(&filter, request, 0x10000000) != expected)
				UNIT_ASSERT_ROW(false, "request 0x%x", request);
		}
	}
	CU_ASSERT_EQUAL(run_ioctl(&filter, KVM_CHECK_EXTENSION, 0), SECCOMP_RET_ALLOW);
	CU_ASSERT_EQUAL(run_ioctl(&filter, KVM_CREATE_VCPU, 0), SECCOMP_RET_ALLOW);
}

static bool known_number(uint32_t number)
{
	for (unsigned i = 0; i < COMMANDS; i++) {
		if ((commands[i].request & 0xffff) == number)
			return true;
	}
	return false;
}

/* All 2^16 types and numbers, with the sizes and directions of the commands that it knows. */
static void test_other_commands_run(void)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;

	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	for (unsigned i = 0; i < COMMANDS; i++) {
		for (uint32_t number = 0; number <= 0xffff; number++) {
			uint32_t request = (commands[i].request & 0xffff0000) | number;

			if (!known_number(number) &&
				run_ioctl(&filter, request, areas[0].address) != SECCOMP_RET_ALLOW)
				UNIT_ASSERT_ROW(false, "request 0x%x", request);
		}
	}
}

/* What needs no entry looks at no pointer; nor does the descriptor matter for anything. */
static void test_commands_without_entries(void)
{
	const uint64_t pointers[] = {0, 1, 5, 0x10000000, FOUR_GIB, UINT64_MAX};
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;

	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
		check_interpreted(KVM_CREATE_VM, pointers[i], SECCOMP_RET_USER_NOTIF, &filter);
		check_interpreted(KVM_SET_USER_MEMORY_REGION, pointers[i], REFUSED, &filter);
		check_interpreted(KVM_RUN, pointers[i], SECCOMP_RET_ALLOW, &filter);
		check_interpreted(0x5401 /* TCGETS */, pointers[i], SECCOMP_RET_ALLOW, &filter);
	}
}

static void test_architectures(void)
{
	const uint32_t foreign[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64, 0,
		UINT32_MAX, OWN_ARCHITECTURE ^ 1, OWN_ARCHITECTURE & 0xffff,
		OWN_ARCHITECTURE == AUDIT_ARCH_X86_64 ? AUDIT_ARCH_AARCH64 : AUDIT_ARCH_X86_64};
	const int numbers[] = {__NR_ioctl, 54 /* i386's ioctl */, 0, -1};
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;

	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		for (size_t j = 0; j < sizeof numbers / sizeof *numbers; j++) {
			struct seccomp_data data = {.nr = numbers[j], .arch = foreign[i]};

			UNIT_ASSERT_ROW(run(&filter, &data) == SECCOMP_RET_KILL_PROCESS,
				"architecture 0x%x, call %d", foreign[i], numbers[j]);
		}
	}
}

/* With the arguments of an ioctl that would be refused. */
static uint32_t run_call(const struct gate_filter *filter, uint32_t number)
{
	struct seccomp_data data = {
		.nr = (int)number,
		.arch = OWN_ARCHITECTURE,
		.args = {3, KVM_SET_USER_MEMORY_REGION, 0x1000, 0, 0, 0},
	};

	return run(filter, &data);
}

static void test_system_calls(void)
{
	const uint32_t killed[] = {0x40000000, 0x40000000 + __NR_ioctl, 0x40000000 + 514,
		0x40000001, 0x7fffffff, 0x80000000, 0x80000000 + __NR_ioctl, 0xc0000000,
		0xfffffffe};
	const uint32_t run_on[] = {0x3fffffff, 0x20000000 + __NR_ioctl, UINT32_MAX};
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;

	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	for (uint32_t number = 0; number < 4096; number++) {
		uint32_t expected = number == __NR_ioctl ? REFUSED : SECCOMP_RET_ALLOW;

		UNIT_ASSERT_ROW(run_call(&filter, number) == expected, "call %u", number);
	}
	for (size_t i = 0; i < sizeof killed / sizeof *killed; i++)
		UNIT_ASSERT_ROW(run_call(&filter, killed[i]) == SECCOMP_RET_KILL_PROCESS,
			"call 0x%x", killed[i]);
	for (size_t i = 0; i < sizeof run_on / sizeof *run_on; i++)
		UNIT_ASSERT_ROW(
			run_call(&filter, run_on[i]) == SECCOMP_RET_ALLOW, "call 0x%x", run_on[i]);
}

/* seccomp(2) has operation and flags where an ioctl has its descriptor and command. */
static uint32_t run_seccomp(const struct gate_filter *filter, uint64_t operation, uint64_t flags)
{
	struct seccomp_data data = {
		.nr = __NR_seccomp,
		.arch = OWN_ARCHITECTURE,
		.args = {operation, flags, 0x1000, 0, 0, 0},
	};

	return run(filter, &data);
}

/* All flags that fit a byte, with what the kernel does not read of operation and flags. */
static void test_requests_for_a_listener(void)
{
	const uint64_t upper[] = {0, 1, 0xffffffff};
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;

	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	for (uint64_t operation = 0; operation < 16; operation++) {
		for (uint64_t flags = 0; flags <= 0xff; flags++) {
			bool asks = operation == SECCOMP_SET_MODE_FILTER &&
				    flags & SECCOMP_FILTER_FLAG_NEW_LISTENER;
			uint32_t expected = asks ? SECCOMP_RET_ERRNO | EBUSY : SECCOMP_RET_ALLOW;

			for (size_t i = 0; i < 9; i++) {
				uint32_t action = run_seccomp(&filter,
					operation | upper[i / 3] << 32, flags | upper[i % 3] << 32);

				UNIT_ASSERT_ROW(action == expected, "operation %lu flags 0x%lx",
					operation, flags);
			}
		}
	}
	CU_ASSERT_EQUAL(run_seccomp(&filter, SECCOMP_SET_MODE_FILTER, UINT32_MAX),
		SECCOMP_RET_ERRNO | EBUSY);
	CU_ASSERT_EQUAL(run_seccomp(&filter, SECCOMP_SET_MODE_FILTER,
				UINT64_MAX ^ SECCOMP_FILTER_FLAG_NEW_LISTENER),
		SECCOMP_RET_ALLOW);
	CU_ASSERT_EQUAL(run_seccomp(&filter, UINT32_MAX, UINT32_MAX), SECCOMP_RET_ALLOW);
}

/* Areas that can't be */

#define SPOIL(index, member, value)                                                                \
	do {                                                                                       \
		struct mailbox_area spoilt[MAILBOX_COMMANDS];                                      \
		struct gate_filter filter = {.length = 7};                                         \
		plain_areas(spoilt);                                                               \
		spoilt[index].member = (value);                                                    \
		CU_ASSERT_EQUAL(gate_filter_build(spoilt, &filter), -EINVAL);                      \
		CU_ASSERT_EQUAL(filter.length, 7);                                                 \
	} while (0)

static void test_invalid_areas(void)
{
	const uint64_t page = page_size();

	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		SPOIL(i, length, 0);
		SPOIL(i, length, 1);
		SPOIL(i, length, page / 2);
		SPOIL(i, length, page + 64);
		SPOIL(i, length, UINT64_MAX - page + 1);
		SPOIL(i, address, 0x10000000 + 64);
		SPOIL(i, address, 0x20000001);
		SPOIL(i, address, FOUR_GIB - page);
		SPOIL(i, address, 7 * FOUR_GIB - page);
		SPOIL(i, address, UINT64_MAX - page + 1);
		SPOIL(i, stride, 0);
		SPOIL(i, stride, 3);
		SPOIL(i, stride, 96);
		SPOIL(i, stride, page - 1);
		SPOIL(i, stride, 2 * page);
		SPOIL(i, stride, UINT64_MAX);
		SPOIL(i, request, 0);
		SPOIL(i, request, KVM_CREATE_VM);
		SPOIL(i, request, area_requests[(i + 1) % MAILBOX_COMMANDS]);
		SPOIL(i, request, area_requests[i] ^ 1u << 16);
	}
}

static void test_overlapping_areas(void)
{
	const uint64_t page = page_size();
	struct mailbox_area areas[MAILBOX_COMMANDS];

	plain_areas(areas);
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		for (unsigned j = 0; j < MAILBOX_COMMANDS; j++) {
			if (i == j)
				continue;
			SPOIL(i, address, areas[j].address);
			SPOIL(i, address, areas[j].address + page);
			SPOIL(i, address, areas[j].address - page);
		}
	}
	SPOIL(0, length, 16 * page); /* around the others */
}

/* The filter must stay a program that the kernel takes, whatever the areas. */
static void test_length(void)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;

	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	CU_ASSERT_TRUE(filter.length > 0 && filter.length <= GATE_FILTER_LENGTH_MAX);
	for (unsigned at = 0; at < filter.length; at++) {
		const struct sock_filter *instruction = &filter.program[at];

		if (BPF_CLASS(instruction->code) == BPF_JMP) {
			CU_ASSERT_TRUE(at + 1 + instruction->jt < filter.length);
			CU_ASSERT_TRUE(at + 1 + instruction->jf < filter.length);
		}
	}
	CU_ASSERT_EQUAL(BPF_CLASS(filter.program[filter.length - 1].code), BPF_RET);
}

/* By the kernel */

static struct mailbox *mailbox;

/* What the parent has seen trap, for the child to compare with what it called. */
static struct traps {
	uint64_t count, request, argument;
} * traps;

static uint32_t kernel_action(uint64_t request, uint64_t pointer)
{
	uint64_t before = traps->count;
	long r = syscall(__NR_ioctl, -1L, request, pointer);

	if (r != -1 || traps->count > before + 1)
		return UINT32_MAX;
	if (traps->count == before + 1)
		return errno == EBADF && traps->request == (uint32_t)request &&
				       traps->argument == pointer
			       ? SECCOMP_RET_USER_NOTIF
			       : UINT32_MAX;
	return errno == EBADF ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | (uint32_t)errno;
}

static void check_kernel(uint64_t request, uint64_t pointer, uint32_t expected, void *context)
{
	const uint64_t upper[] = {0, 1, 0xffffffff};

	(void)context;
	for (size_t i = 0; i < 3; i++) {
		uint32_t action = kernel_action(request | upper[i] << 32, pointer);

		UNIT_ASSERT_ROW(action == expected,
			"request 0x%llx pointer 0x%llx gives 0x%x, expected 0x%x",
			(unsigned long long)(request | upper[i] << 32), (unsigned long long)pointer,
			action, expected);
	}
}

/* On no descriptor: what runs fails with EBADF, what is refused with EPERM, and the parent counts
 * what traps. */
static void call_every_edge(void *context)
{
	struct mailbox_area areas[MAILBOX_COMMANDS];

	(void)context;
	areas_of(areas);
	each_edge(areas, check_kernel, NULL);
	for (unsigned i = 0; i < COMMANDS; i++) {
		uint32_t request = commands[i].request;

		check_kernel(request, 0x1000, commands[i].action, NULL);
		check_kernel(request ^ 1, 0x1000, SECCOMP_RET_ALLOW, NULL);
		check_kernel(request ^ 0x100, areas[0].address, SECCOMP_RET_ALLOW, NULL);
		for (unsigned bit = 16; bit < 32; bit++)
			check_kernel(request ^ 1u << bit, areas[0].address, REFUSED, NULL);
	}
	/* The end, which no other call looks like. */
	syscall(__NR_ioctl, -2L, (unsigned long)KVM_CREATE_VM, 0L);
}

static void test_kernel_at_every_edge(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_every_edge};
	struct gate_trap trap;

	*traps = (struct traps){0};
	if (!gated_start(&gated))
		return;
	while (gated_next(&gated, &trap)) {
		traps->request = trap.request;
		traps->argument = trap.argument;
		__atomic_add_fetch(&traps->count, 1, __ATOMIC_SEQ_CST);
		CU_ASSERT_EQUAL(gate_continue(gated.listener, trap.id), 0);
		if (trap.fd == -2)
			break;
	}
	gated_end(&gated, 0);
}

static int kernel_ioctl(int fd, unsigned long request, uint64_t pointer)
{
	return ioctl(fd, request, pointer) < 0 ? -errno : 0;
}

/* A VM of the child's own mm: made before the gate, for what is tested here are its ioctls. */
static int child_vm = -1;

static void make_vm(void *context)
{
	(void)context;
	if (!vm_or_skip(0, &child_vm))
		child_vm = -1;
}

static void use_vm(void *context)
{
	struct kvm_userspace_memory_region old = {.memory_size = 0};
	struct kvm_userspace_memory_region2 own = {.memory_size = 0};
	struct kvm_create_guest_memfd own_memory = {.size = page_size()};
	struct kvm_memory_attributes attributes = {.size = page_size()};
	uint64_t slot = mailbox_entry_address(mailbox, MAILBOX_SLOT, 0);
	uint64_t create = mailbox_entry_address(mailbox, MAILBOX_CREATE, 0);
	int fd = child_vm;

	(void)context;
	if (fd < 0)
		return;
	/* Own bytes */
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&old), -EPERM);
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_SET_USER_MEMORY_REGION2, (uintptr_t)&own), -EPERM);
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_CREATE_GUEST_MEMFD, (uintptr_t)&own_memory), -EPERM);
	CU_ASSERT_EQUAL(
		kernel_ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES, (uintptr_t)&attributes), -EPERM);
	/* Entries: written, free, and of another area */
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_SET_USER_MEMORY_REGION2, slot), 0);
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_SET_USER_MEMORY_REGION2, slot + 256), -EINVAL);
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_SET_USER_MEMORY_REGION2, slot + 128), -EPERM);
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_SET_USER_MEMORY_REGION2, create), -EPERM);
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_SET_USER_MEMORY_REGION2 ^ 1u << 16, slot), -EPERM);
	/* What the gate is not for */
	CU_ASSERT_TRUE(ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS) > 0);
	CU_ASSERT_EQUAL(kernel_ioctl(fd, KVM_CREATE_VCPU, 0), 0);
	/* Trapped: continued, then refused */
	fd = ioctl(child_vm, KVM_CREATE_GUEST_MEMFD, create);
	CU_ASSERT_TRUE(fd >= 0 && memory_file_is_guest_memfd(fd));
	CU_ASSERT_EQUAL(kernel_ioctl(child_vm, KVM_CREATE_GUEST_MEMFD, create), -EPERM);
}

static void answer_creations(struct gated *gated)
{
	struct gate_trap trap;

	if (!gated_next(gated, &trap))
		return;
	CU_ASSERT_EQUAL(trap.request, KVM_CREATE_GUEST_MEMFD);
	CU_ASSERT_EQUAL(trap.argument, mailbox_entry_address(mailbox, MAILBOX_CREATE, 0));
	CU_ASSERT_EQUAL(gate_continue(gated->listener, trap.id), 0);
	if (gated_next(gated, &trap))
		CU_ASSERT_EQUAL(gate_refuse(gated->listener, trap.id), 0);
}

static bool vm_here(void)
{
	int vm;

	if (!vm_or_skip(0, &vm))
		return false;
	close(vm);
	return true;
}

static void test_kernel_with_a_vm(void)
{
	struct kvm_userspace_memory_region2 slot = {
		.memory_size = page_size(), .userspace_addr = 0x40000000};
	struct kvm_create_guest_memfd memory = {.size = page_size()};
	struct gated gated = {.mailbox = mailbox, .prepare = make_vm, .body = use_vm};
	unsigned slot_entry, create_entry;

	if (!vm_here())
		return;
	CU_ASSERT_EQUAL_FATAL(mailbox_take(mailbox, MAILBOX_SLOT, 1, &slot_entry), 1);
	CU_ASSERT_EQUAL_FATAL(mailbox_take(mailbox, MAILBOX_CREATE, 1, &create_entry), 1);
	CU_ASSERT_EQUAL_FATAL(slot_entry, 0);
	CU_ASSERT_EQUAL_FATAL(create_entry, 0);
	mailbox_write_slot(mailbox, slot_entry, &slot);
	mailbox_write_create(mailbox, create_entry, &memory);
	if (gated_start(&gated)) {
		answer_creations(&gated);
		gated_end(&gated, 0);
	}
	mailbox_put(mailbox, MAILBOX_SLOT, slot_entry, 1);
	mailbox_put(mailbox, MAILBOX_CREATE, create_entry, 1);
}

/* Foreign calls */

static void call_nothing(void *context)
{
	(void)context;
	errno = 0;
	CU_ASSERT_EQUAL(syscall(-1), -1);
	CU_ASSERT_EQUAL(errno, ENOSYS);
}

static void test_kernel_no_call(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_nothing};

	if (gated_start(&gated))
		gated_end(&gated, 0);
}

#ifdef __x86_64__
/* getpid of i386. */
static void call_i386(void *context)
{
	int r = 20;

	(void)context;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	CU_ASSERT_EQUAL(r, getpid());
}

/* Where the kernel has no 32-bit calls, the trap itself kills, and the filter has no part in it. */
static void probe_i386(void *context)
{
	*(int *)context = 0;
	signal(SIGSEGV, SIG_DFL);
	call_i386(NULL);
	*(int *)context = 1;
}

static void test_kernel_32_bit_call(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_i386};
	int *works = mmap(
		NULL, sizeof *works, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();

	if (child == 0) {
		probe_i386(works);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	if (!*works)
		unit_skip("this kernel has no 32-bit system calls");
	else if (gated_start(&gated))
		gated_end(&gated, SIGSYS);
	munmap(works, sizeof *works);
}

/* getpid of x32, of which the filter hears also on a kernel without x32. */
static void call_x32(void *context)
{
	(void)context;
	syscall(0x40000000 + __NR_getpid);
}

static void test_kernel_x32_call(void)
{
	struct gated gated = {.mailbox = mailbox, .body = call_x32};

	if (gated_start(&gated))
		gated_end(&gated, SIGSYS);
}
#endif

static int set_up(void)
{
	traps = mmap(
		NULL, sizeof *traps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return traps == MAP_FAILED ? -1 : mailbox_new("mailbox", MAILBOX_WRITER_ALONE, &mailbox);
}

static int clean_up(void)
{
	mailbox = mailbox_free(mailbox);
	return munmap(traps, sizeof *traps);
}

/* One of what matters, or near it, or anything. */
static uint64_t any_of(const uint64_t *values, size_t count)
{
	uint64_t value = values[(size_t)rand() % count];

	switch (rand() % 4) {
	case 0:
		return value + (uint64_t)(rand() % 5) - 2;
	case 1:
		return value ^ 1ull << rand() % 64;
	default:
		return value;
	}
}

/* What the reference's table of rules says is what the filter does. */
static void test_rules(void)
{
	const uint64_t calls[] = {__NR_ioctl, __NR_seccomp, 0x40000000, UINT32_MAX, __NR_read};
	const uint64_t numbers[] = {KVM_CREATE_VM, KVM_CREATE_GUEST_MEMFD,
		KVM_SET_USER_MEMORY_REGION2, KVM_SET_MEMORY_ATTRIBUTES, 0x4020ae46, KVM_RUN, 8, 9};
	struct mailbox_area areas[MAILBOX_COMMANDS];
	struct gate_filter filter;
	uint64_t pointers[2 * MAILBOX_COMMANDS];

	srand(1);
	plain_areas(areas);
	CU_ASSERT_EQUAL_FATAL(gate_filter_build(areas, &filter), 0);
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		pointers[2 * i] = areas[i].address;
		pointers[2 * i + 1] = areas[i].address + areas[i].length - areas[i].stride;
	}
	for (unsigned i = 0; i < 1000000; i++) {
		struct seccomp_data data = {
			.nr = (int)any_of(calls, sizeof calls / sizeof *calls),
			.arch = rand() % 16 ? OWN_ARCHITECTURE : (uint32_t)rand(),
			.args = {(uint64_t)(rand() % 3),
				any_of(numbers, sizeof numbers / sizeof *numbers),
				any_of(pointers, sizeof pointers / sizeof *pointers)},
		};

		UNIT_ASSERT_ROW(run(&filter, &data) == gate_rules_action(&data, areas),
			"call %d, %llx, %llx", data.nr, (unsigned long long)data.args[1],
			(unsigned long long)data.args[2]);
	}
}

int main(void)
{
	CU_TestInfo interpreted[] = {
		{"pointers of the mailbox", test_pointers_of_the_mailbox},
		{"pointers of other layouts", test_pointers_of_other_layouts},
		{"areas side by side", test_areas_side_by_side},
		{"sizes and directions", test_sizes_and_directions},
		{"other commands run", test_other_commands_run},
		{"the table of rules", test_rules},
		{"commands without entries", test_commands_without_entries},
		{"architectures", test_architectures},
		{"system calls", test_system_calls},
		{"requests for a listener", test_requests_for_a_listener},
		{"invalid areas", test_invalid_areas},
		{"overlapping areas", test_overlapping_areas},
		{"length", test_length},
		{"a closed gate", test_closed},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo kernel[] = {
		{"every edge", test_kernel_at_every_edge},
		{"a VM's own ioctls", test_kernel_with_a_vm},
		{"system call -1", test_kernel_no_call},
#ifdef __x86_64__
		{"a 32-bit call kills", test_kernel_32_bit_call},
		{"an x32 call kills", test_kernel_x32_call},
#endif
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "interpreted filter", .pTests = interpreted},
		{.pName = "filter in the kernel",
			.pInitFunc = set_up,
			.pCleanupFunc = clean_up,
			.pTests = kernel},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
