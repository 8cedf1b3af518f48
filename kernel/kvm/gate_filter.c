/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate's seccomp program. See gate_filter.h.
 */
#include "kernel/kvm/gate_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#if defined __x86_64__ && !defined __ILP32__
#define GATE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define GATE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the gate is written for x86-64 and little-endian arm64"
#endif

/* System calls of x32 have this bit; -1, which the kernel answers with ENOSYS, has it too. */
#define X32_SYSCALL_BIT 0x40000000u

/* An ioctl command's type and number, without its size and direction. */
#define COMMAND_NUMBER_MASK 0xffffu

#define COMMAND_OFFSET      offsetof(struct seccomp_data, args[1])
#define POINTER_LOW_OFFSET  offsetof(struct seccomp_data, args[2])
#define POINTER_HIGH_OFFSET (POINTER_LOW_OFFSET + 4)

#define OPERATION_OFFSET offsetof(struct seccomp_data, args[0])
#define FLAGS_OFFSET     offsetof(struct seccomp_data, args[1])

#define REFUSED         (SECCOMP_RET_ERRNO | EPERM)
#define LISTENER_EXISTS (SECCOMP_RET_ERRNO | EBUSY)

#define SECCOMP_BLOCK_LENGTH 6

/* A block that ends every path through it: 8 instructions. */
#define AREA_BLOCK_LENGTH 8

static const struct {
	uint32_t request;
	uint32_t action; /* for a pointer to an entry */
} area_rules[MAILBOX_COMMANDS] = {
	[MAILBOX_CREATE] = {KVM_CREATE_GUEST_MEMFD, SECCOMP_RET_USER_NOTIF},
	[MAILBOX_SLOT] = {KVM_SET_USER_MEMORY_REGION2, SECCOMP_RET_ALLOW},
	[MAILBOX_ATTRIBUTES] = {KVM_SET_MEMORY_ATTRIBUTES, SECCOMP_RET_ALLOW},
};

static const uint32_t refused_numbers[] = {
	KVM_CREATE_VM & COMMAND_NUMBER_MASK,
	KVM_CREATE_GUEST_MEMFD &COMMAND_NUMBER_MASK,
	KVM_SET_USER_MEMORY_REGION2 &COMMAND_NUMBER_MASK,
	KVM_SET_MEMORY_ATTRIBUTES &COMMAND_NUMBER_MASK,
	KVM_SET_USER_MEMORY_REGION &COMMAND_NUMBER_MASK,
};
#define REFUSED_NUMBERS (sizeof refused_numbers / sizeof *refused_numbers)

static void emit(struct gate_filter *filter, struct sock_filter instruction)
{
	filter->program[filter->length++] = instruction;
}

#define EMIT_STATEMENT(filter, code, k) emit(filter, (struct sock_filter)BPF_STMT(code, k))
#define EMIT_JUMP(filter, code, k, jt, jf)                                                         \
	emit(filter, (struct sock_filter)BPF_JUMP(code, k, jt, jf))

/*
 * Ends each seccomp(2). The kernel refuses a second listener only while somebody holds the first
 * one's file; afterwards it would take another, which would be asked in the place of ours. It reads
 * operation and flags as 32 bits, so their upper halves are ignored here. prctl(PR_SET_SECCOMP) has
 * no flags.
 */
static void emit_seccomp(struct gate_filter *filter)
{
	EMIT_STATEMENT(filter, BPF_LD | BPF_W | BPF_ABS, OPERATION_OFFSET);
	EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, SECCOMP_SET_MODE_FILTER, 0, 3);
	EMIT_STATEMENT(filter, BPF_LD | BPF_W | BPF_ABS, FLAGS_OFFSET);
	EMIT_JUMP(filter, BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0, 1);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, LISTENER_EXISTS);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

/* Leaves the command's lower half in the accumulator for an ioctl of our architecture; ends here
 * for all else. */
static void emit_preamble(struct gate_filter *filter)
{
	EMIT_STATEMENT(filter, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, GATE_ARCHITECTURE, 1, 0);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	EMIT_STATEMENT(filter, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 5 + SECCOMP_BLOCK_LENGTH, 0);
	EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, __NR_seccomp, 4, 0);
	EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, 1, 0);
	EMIT_JUMP(filter, BPF_JMP | BPF_JGE | BPF_K, X32_SYSCALL_BIT, 1, 0);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	emit_seccomp(filter);
	/* Here with nr == ioctl: the jump above skips the instructions between. */
	EMIT_STATEMENT(filter, BPF_LD | BPF_W | BPF_ABS, COMMAND_OFFSET);
}

/* Sends each command to its end: a return of its own, or the block of its area, which follow in
 * order. */
static void emit_dispatch(struct gate_filter *filter)
{
	unsigned after = MAILBOX_COMMANDS + 1 + REFUSED_NUMBERS + 1;

	EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, KVM_CREATE_VM, after, 0);
	for (unsigned area = 0; area < MAILBOX_COMMANDS; area++) {
		/* Over what is left of the dispatch, the two returns behind it, and the blocks
		 * before. */
		unsigned left = MAILBOX_COMMANDS - 1 - area + 1 + REFUSED_NUMBERS + 3;

		EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, area_rules[area].request,
			left + area * AREA_BLOCK_LENGTH, 0);
	}
	EMIT_STATEMENT(filter, BPF_ALU | BPF_AND | BPF_K, COMMAND_NUMBER_MASK);
	for (unsigned i = 0; i < REFUSED_NUMBERS; i++)
		EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, refused_numbers[i],
			REFUSED_NUMBERS - 1 - i + 2, 0);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, REFUSED);
}

static void emit_area(struct gate_filter *filter, const struct mailbox_area *area, uint32_t action)
{
	uint32_t first = (uint32_t)area->address;
	uint32_t last = (uint32_t)(area->address + area->length - 1);

	EMIT_STATEMENT(filter, BPF_LD | BPF_W | BPF_ABS, POINTER_HIGH_OFFSET);
	EMIT_JUMP(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(area->address >> 32), 0, 5);
	EMIT_STATEMENT(filter, BPF_LD | BPF_W | BPF_ABS, POINTER_LOW_OFFSET);
	EMIT_JUMP(filter, BPF_JMP | BPF_JGE | BPF_K, first, 0, 3);
	EMIT_JUMP(filter, BPF_JMP | BPF_JGT | BPF_K, last, 2, 0);
	EMIT_JUMP(filter, BPF_JMP | BPF_JSET | BPF_K, (uint32_t)area->stride - 1, 1, 0);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, action);
	EMIT_STATEMENT(filter, BPF_RET | BPF_K, REFUSED);
}

static bool area_valid(const struct mailbox_area *area, uint32_t request)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t end;

	if (area->request != request || area->length == 0)
		return false;
	if (area->address % page != 0 || area->length % page != 0)
		return false;
	if (__builtin_add_overflow(area->address, area->length, &end))
		return false;
	if (area->address >> 32 != (end - 1) >> 32)
		return false;
	return area->stride > 0 && area->stride <= page && (area->stride & (area->stride - 1)) == 0;
}

static bool areas_overlap(const struct mailbox_area *a, const struct mailbox_area *b)
{
	return a->address < b->address + b->length && b->address < a->address + a->length;
}

static bool areas_valid(const struct mailbox_area areas[static MAILBOX_COMMANDS])
{
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		if (!area_valid(&areas[i], area_rules[i].request))
			return false;
		for (unsigned j = 0; j < i; j++) {
			if (areas_overlap(&areas[i], &areas[j]))
				return false;
		}
	}
	return true;
}

int gate_filter_build(
	const struct mailbox_area areas[static MAILBOX_COMMANDS], struct gate_filter *ret)
{
	struct gate_filter filter = {0};

	if (!areas_valid(areas))
		return -EINVAL;
	emit_preamble(&filter);
	emit_dispatch(&filter);
	for (unsigned area = 0; area < MAILBOX_COMMANDS; area++)
		emit_area(&filter, &areas[area], area_rules[area].action);
	*ret = filter;
	return 0;
}

void gate_filter_build_closed(struct gate_filter *ret)
{
	struct gate_filter filter = {0};

	emit_preamble(&filter);
	EMIT_JUMP(&filter, BPF_JMP | BPF_JEQ | BPF_K, KVM_CREATE_VM, 1 + REFUSED_NUMBERS, 0);
	EMIT_STATEMENT(&filter, BPF_ALU | BPF_AND | BPF_K, COMMAND_NUMBER_MASK);
	for (unsigned i = 0; i < REFUSED_NUMBERS; i++)
		EMIT_JUMP(&filter, BPF_JMP | BPF_JEQ | BPF_K, refused_numbers[i],
			REFUSED_NUMBERS - i, 0);
	EMIT_STATEMENT(&filter, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	EMIT_STATEMENT(&filter, BPF_RET | BPF_K, REFUSED);
	*ret = filter;
}
