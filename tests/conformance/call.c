/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes and prints calls. See call.h.
 */
#include "tests/conformance/call.h"

#include <errno.h>

/* Userspace addresses lie in the first part of a held mapping, and no slot on it is longer than the
 * second; past the file's end nobody can read or write. */
#define HELD_PART (16 * PAGE)
#define HELD_SIZE (2 * HELD_PART)

static bool has_file(struct subject *subject, unsigned memory)
{
	return subject->operations->fd(subject, memory) >= 0;
}

static int make_vm(struct subject *subject)
{
	if (!subject->arenas[1])
		return subject->operations->vm_new(subject, 1);
	subject->operations->vm_free(subject, 1);
	return 0;
}

/*
 * Only of memory that the host may read: what else is mapped can be read in the model, through the
 * slot that has it at its userspace address.
 */
static int make_hold(struct subject *subject, const struct call *call)
{
	uint8_t byte;
	int r;

	if (subject->held[call->memory])
		return -EEXIST;
	r = subject->operations->host(subject, call->memory, 0, &byte, /* write= */ false);
	return r < 0 ? r : subject->operations->hold(subject, call->memory, HELD_SIZE);
}

static uint64_t userspace_addr(struct subject *subject, const struct call *call)
{
	if (call->base == BASE_HELD && call->memory < SUBJECT_MEMORIES &&
		subject->held[call->memory])
		return (uintptr_t)subject->held[call->memory] + call->userspace_addr % HELD_PART;
	if (call->base != BASE_NOTHING)
		return (uintptr_t)subject->arenas[call->vm] + call->userspace_addr;
	return call->userspace_addr;
}

static int make_region(struct subject *subject, const struct call *call)
{
	const struct kvm_userspace_memory_region2 arguments = {
		.slot = call->slot,
		.flags = (uint32_t)call->flags,
		.guest_phys_addr = call->address,
		.memory_size = call->size,
		.userspace_addr = userspace_addr(subject, call),
		.guest_memfd = call->memory,
		.guest_memfd_offset = call->offset,
	};

	return subject->operations->region(subject, call->vm,
		call->kind == CALL_REGION_V1 ? MODEL_REGION_V1 : MODEL_REGION_V2, &arguments);
}

static int make_attributes(struct subject *subject, const struct call *call)
{
	const struct kvm_memory_attributes arguments = {
		.address = call->address,
		.size = call->size,
		.attributes = call->attributes,
		.flags = call->flags,
	};

	return subject->operations->attributes(subject, call->vm, &arguments);
}

static int make_access(struct subject *subject, const struct call *call, uint8_t *ret_byte)
{
	const struct subject_operations *operations = subject->operations;
	uint8_t byte = call->write ? call->byte : 0;
	int r = call->kind == CALL_HOST
			? operations->host(subject, call->memory, call->offset, &byte, call->write)
			: operations->guest(subject, call->vm, call->address, &byte, call->write);

	if (r == MODEL_ACCESS_DONE) /* and 0 of the host's */
		*ret_byte = byte;
	return r;
}

static int make_file_call(struct subject *subject, const struct call *call)
{
	const struct subject_operations *operations = subject->operations;

	switch (call->kind) {
	case CALL_CREATE:
		if (has_file(subject, call->memory))
			return -EEXIST;
		return operations->create(subject, call->vm, call->memory, call->size, call->flags);
	case CALL_DUPLICATE:
		if (has_file(subject, call->other))
			return -EEXIST;
		return operations->duplicate(subject, call->memory, call->other);
	case CALL_CLOSE:
		return operations->close(subject, call->memory);
	case CALL_HOLD:
		return make_hold(subject, call);
	case CALL_FALLOCATE:
		return operations->fallocate(subject, call->memory, call->mode,
			(int64_t)call->offset, (int64_t)call->size);
	default: /* CALL_MAP */
		return operations->map(subject, call->memory, call->size, call->mode,
			(int)call->flags, (int64_t)call->offset);
	}
}

int call_make(struct subject *subject, const struct call *call, uint8_t *ret_byte)
{
	*ret_byte = 0;
	if (call->kind == CALL_VM)
		return make_vm(subject);
	if (!subject->arenas[call->vm])
		return -ENODEV; /* no second VM now */
	switch (call->kind) {
	case CALL_HOST:
	case CALL_GUEST:
		return make_access(subject, call, ret_byte);
	case CALL_REGION:
	case CALL_REGION_V1:
		return make_region(subject, call);
	case CALL_ATTRIBUTES:
		return make_attributes(subject, call);
	default:
		return make_file_call(subject, call);
	}
}

/* Printing */

const char *call_kind_name(enum call_kind kind)
{
	static const char *const names[CALL_KINDS] = {
		[CALL_CREATE] = "create",
		[CALL_DUPLICATE] = "duplicate",
		[CALL_CLOSE] = "close",
		[CALL_HOLD] = "hold",
		[CALL_FALLOCATE] = "fallocate",
		[CALL_MAP] = "map",
		[CALL_HOST] = "host",
		[CALL_REGION] = "region2",
		[CALL_REGION_V1] = "region_v1",
		[CALL_ATTRIBUTES] = "attributes",
		[CALL_GUEST] = "guest",
		[CALL_VM] = "make_or_close",
	};

	return names[kind];
}

static void print_region(FILE *file, const struct call *call)
{
	static const char *const bases[] = {"", "arena + ", "held or arena + "};

	fprintf(file,
		"%s(vm %u, slot %#x, flags %#llx, guest_phys_addr %#llx, memory_size %#llx, "
		"userspace_addr %s%#llx, memory %u, offset %#llx)",
		call_kind_name(call->kind), call->vm, call->slot, (unsigned long long)call->flags,
		(unsigned long long)call->address, (unsigned long long)call->size,
		bases[call->base], (unsigned long long)call->userspace_addr, call->memory,
		(unsigned long long)call->offset);
}

static void print_access(FILE *file, const struct call *call)
{
	const char *what = call->write ? "write" : "read";

	if (call->kind == CALL_HOST)
		fprintf(file, "host_%s(memory %u, offset %#llx", what, call->memory,
			(unsigned long long)call->offset);
	else
		fprintf(file, "guest_%s(vm %u, guest_phys_addr %#llx", what, call->vm,
			(unsigned long long)call->address);
	if (call->write)
		fprintf(file, ", byte %#x", call->byte);
	fprintf(file, ")");
}

static void print_file_call(FILE *file, const struct call *call)
{
	fprintf(file, "%s(memory %u", call_kind_name(call->kind), call->memory);
	if (call->kind == CALL_CREATE)
		fprintf(file, ", vm %u, size %#llx, flags %#llx", call->vm,
			(unsigned long long)call->size, (unsigned long long)call->flags);
	else if (call->kind == CALL_DUPLICATE)
		fprintf(file, ", as %u", call->other);
	else if (call->kind == CALL_FALLOCATE || call->kind == CALL_MAP)
		fprintf(file, ", %s %#x, flags %#llx, offset %#llx, length %#llx",
			call->kind == CALL_MAP ? "protection" : "mode", (unsigned)call->mode,
			(unsigned long long)call->flags, (unsigned long long)call->offset,
			(unsigned long long)call->size);
	fprintf(file, ")");
}

void call_print(FILE *file, const struct call *call)
{
	switch (call->kind) {
	case CALL_VM:
		fprintf(file, "%s(vm 1)", call_kind_name(CALL_VM));
		break;
	case CALL_REGION:
	case CALL_REGION_V1:
		print_region(file, call);
		break;
	case CALL_HOST:
	case CALL_GUEST:
		print_access(file, call);
		break;
	case CALL_ATTRIBUTES:
		fprintf(file,
			"attributes(vm %u, address %#llx, size %#llx, attributes %#llx, flags "
			"%#llx)",
			call->vm, (unsigned long long)call->address, (unsigned long long)call->size,
			(unsigned long long)call->attributes, (unsigned long long)call->flags);
		break;
	default:
		print_file_call(file, call);
	}
}
