/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.create, memory.open, memory.close, memory.reclaim.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon/base/numa_node.h"
#include "daemon/methods/call_answer.h"
#include "daemon/methods/handle_grant.h"
#include "daemon/methods/handle_memory.h"
#include "daemon/methods/huge_memory.h"
#include "daemon/methods/methods.h"
#include "daemon/methods/type_lack.h"
#include "daemon/release/lingering.h"
#include "daemon/release/release.h"
#include "daemon/request/answer_files.h"
#include "daemon/request/request.h"
#include "daemon/request/request_recount.h"
#include "daemon/request/request_tenant.h"
#include "daemon/vm/call.h"
#include "daemon/vm/closed_memory.h"
#include "daemon/vm/memory_check.h"
#include "kernel/base/uapi.h"
#include "protocol/json.h"

int request_memory_error(
	struct request *request, int r, const struct budget *refused, uint64_t requested)
{
	request->refused_by = r == -ENOSPC ? refused : NULL;
	if (r == -ENOSPC && refused)
		return rpc_error_budget_exceeded(&request->error, refused->scope,
			budget_most(refused), refused->committed, refused->promised, requested);
	if (r == -E2BIG)
		return request_limit_error(request, LIMIT_MEMORIES_PER_VM,
			"The VM has as many memories as it may have");
	if (r == -EDQUOT)
		return request_owner_limit_error(request, request->caller->owner, OWNER_MEMORIES,
			"The user has as many memories as it may have",
			"The tenant has as many memories as it may have");
	return rpc_error_internal(&request->error, "no memory");
}

static int answer_file(struct request *request, const struct memory *memory)
{
	json_add_uint(request->result, "fd", request->answer_fds.count);
	return request_take_memory_file(request, memory);
}

/*
 * A gate whose listener is gone lets no creation through. Another listener would not do: the VMM
 * has run the guest already, and could keep a duplicate of it to let through what it likes.
 */
static int check_gate(struct request *request, const struct vm *vm)
{
	if (vm->gate != VM_GATE_LOST || request->parameters.memory_create.backing == BACKING_MEMFD)
		return 0;
	return rpc_error_unsupported(&request->error,
		"the listener of the VM's gate, which ended with gmemd and its keeper",
		request->gmemd->host.kernel_release);
}

static int create_memfd(struct request *request, struct memory *memory)
{
	int r = memory_make_memfd(memory);

	if (r < 0)
		return rpc_error_kernel(&request->error, -r, "memfd_create");
	r = answer_file(request, memory);
	if (r < 0)
		return r;
	json_add_null(request->result, "call");
	events_memory(&request->gmemd->events, memory, EVENT_MEMORY_READY);
	return 0;
}

static int create_guest_memfd(struct request *request, struct memory *memory)
{
	struct call *call;
	int r;

	r = call_new_create(memory, &call);
	if (r < 0)
		return request_call_error(request, memory->vm, MAILBOX_CREATE, r);
	if (call->progress == CALL_SUBMITTED) {
		events_memory(&request->gmemd->events, memory, EVENT_MEMORY_CREATED);
	} else if (answer_file(request, memory) < 0) {
		call_free(call);
		return request->error.code;
	}
	return request_answer_call(request, "call", call);
}

/* Of a guest_memfd that can't be mapped a VM uses what is private alone, and its userspace_addr for
 * all else (Linux 6.18, 7.3): where nothing can be private nobody would ever use it. */
static bool is_never_seen(const struct vm *vm, const struct memory_request *wanted)
{
	return wanted->backing == BACKING_GUEST_MEMFD && !(wanted->flags & MEMORY_MMAP) &&
	       !vm_has_private_memory(vm);
}

static int check_create(struct request *request, struct vm *vm, struct memory_request *ret)
{
	const struct memory_create_parameters *parameters = &request->parameters.memory_create;
	struct memory_fault fault;

	if (memory_check_told(vm, parameters, ret, &fault) == 0) {
		if (ret->node == NODE_ANY)
			ret->node = vm_reserved_node(vm);
		if (!is_never_seen(vm, ret))
			return 0;
		return rpc_error_invalid_param(&request->error, "flags",
			"with \"mmap\": this VM's type has no private memory, and a guest sees "
			"nothing else of a guest_memfd that can't be mapped");
	}
	switch (fault.kind) {
	case MEMORY_FAULT_FLAGS:
		return request_type_lacks(
			request, vm->type, "KVM_CAP_GUEST_MEMFD_FLAGS", parameters->flags);
	case MEMORY_FAULT_NAME:
		rpc_error_conflict(&request->error, "name", "The VM has a memory of this name");
		rpc_error_detail_string(&request->error, "name", parameters->name);
		return request->error.code;
	default:
		return rpc_error_invalid_param(&request->error, fault.param, fault.expected);
	}
}

/* What was closed is counted first where it would not fit beside the next. */
static int check_closed(struct request *request, struct vm *vm, uint64_t size)
{
	enum limit limit = closed_memories_limit(vm);
	int r = request_recount(request, vm, size);

	if (r != 0 || limit == LIMITS)
		return r;
	return request_limit_error(request, limit,
		limit == LIMIT_CLOSED_MEMORIES_PER_VM
			? "Too many of the VM's closed memories have pages again"
			: "Too many of the user's closed memories have pages again");
}

int handle_memory_create(struct request *request)
{
	struct memory_request wanted;
	const struct budget *refused = NULL;
	struct memory *memory;
	uint64_t requested;
	struct vm *vm;
	int r;

	r = request_gated_vm(request, request->parameters.memory_create.vm, &vm);
	if (r == 0)
		r = check_gate(request, vm);
	if (r == 0)
		r = check_create(request, vm, &wanted);
	if (r == 0)
		r = request_tenant_lets_create(request, vm, &wanted.node);
	if (r == 0)
		r = check_closed(request, vm, wanted.size);
	if (r == 0)
		r = request_huge_pages(request, &wanted);
	if (r != 0)
		return r;
	r = memory_new(vm, &wanted, &memory, &refused, &requested);
	if (r < 0)
		return request_before_lingering(
			request, request_memory_error(request, r, refused, requested));
	if (memory->backing == BACKING_MEMFD)
		r = create_memfd(request, memory);
	else
		r = create_guest_memfd(request, memory);
	if (r < 0)
		memory_free(memory);
	else
		json_add_uint(request->result, "memory", memory->id);
	return r;
}

int handle_memory_open(struct request *request)
{
	uint64_t id = request->parameters.memory.memory;
	struct grant *grant = NULL;
	struct memory *memory;
	int r;

	r = request_memory(request, id, &memory);
	if (r == RPC_NOT_FOUND)
		r = request_granted_memory(request, id, &memory, &grant);
	if (r == 0)
		r = answer_file(request, memory);
	if (r == 0 && grant)
		r = request_use_grant(request, memory, grant);
	if (r < 0)
		return r;
	json_add_uint(request->result, "size", memory->size);
	json_add_flags(request->result, "flags", memory->flags, memory_flag_names);
	return 0;
}

/* NULL where it is no closed memory that has pages, or not one that the caller may know of. */
static struct memory *filled_memory(struct request *request, uint64_t id)
{
	struct memory *memory = registry_closed_memory(&request->gmemd->registry, id);

	if (!memory || memory->resident == 0 || !caller_sees_vm(request->caller, memory->vm))
		return NULL;
	return memory;
}

static int close_again(struct request *request, struct memory *memory)
{
	rpc_error_clear(&request->error);
	return release_closed_memory(request, memory);
}

int handle_memory_close(struct request *request)
{
	uint64_t id = request->parameters.memory.memory;
	struct memory *memory, *closed;
	int r;

	r = request_memory(request, id, &memory);
	closed = r < 0 ? filled_memory(request, id) : NULL;
	if (closed)
		return close_again(request, closed);
	if (r < 0 && request_was_done(request))
		return release_nothing(request);
	if (r < 0)
		return r;
	if (memory->n_slots > 0) {
		const struct slot *slot = memory_first_slot(memory);

		rpc_error_conflict(&request->error, "slot", "A slot uses the memory");
		rpc_error_detail_uint(&request->error, "slot", slot->number);
		return request->error.code;
	}
	return release_memory(request, memory);
}

static int check_ranges(struct request *request, const struct memory *memory)
{
	const struct memory_reclaim_parameters *parameters = &request->parameters.memory_reclaim;
	const struct file_range *ranges = parameters->ranges.items;
	char param[64];

	for (size_t i = 0; i < parameters->ranges.count; i++) {
		bool beyond = ranges[i].offset >= memory->size;

		if (!beyond && ranges[i].size <= memory->size - ranges[i].offset)
			continue;
		snprintf(param, sizeof param, "ranges[%zu].%s", i, beyond ? "offset" : "size");
		return rpc_error_invalid_param(&request->error, param,
			beyond ? "less than the memory's size"
			       : "at most what the memory has from offset on");
	}
	return 0;
}

static int check_range_pages(struct request *request, const struct memory *memory)
{
	const struct memory_reclaim_parameters *parameters = &request->parameters.memory_reclaim;
	const struct file_range *ranges = parameters->ranges.items;
	char prefix[32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < parameters->ranges.count; i++) {
		snprintf(prefix, sizeof prefix, "ranges[%zu].", i);
		r = request_whole_pages(request, memory, prefix, ranges[i].offset, ranges[i].size);
	}
	return r;
}

int handle_memory_reclaim(struct request *request)
{
	const struct memory_reclaim_parameters *parameters = &request->parameters.memory_reclaim;
	struct memory *memory;
	int r;

	r = request_memory(request, parameters->memory, &memory);
	if (r == 0)
		r = check_ranges(request, memory);
	if (r == 0)
		r = check_range_pages(request, memory);
	if (r < 0)
		return r;
	return release_ranges(request, memory, parameters->ranges.items, parameters->ranges.count);
}
