/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.preallocate, memory.cancel.
 */
#include "daemon/methods/huge_memory.h"
#include "daemon/methods/methods.h"
#include "daemon/prealloc/preallocations.h"
#include "daemon/request/request.h"

static int check_range(struct request *request, const struct memory *memory, uint64_t *ret_size)
{
	const struct memory_preallocate_parameters *parameters =
		&request->parameters.memory_preallocate;
	uint64_t size = parameters->size;

	if (parameters->offset >= memory->size)
		return rpc_error_invalid_param(
			&request->error, "offset", "less than the memory's size");
	if (size == FIELD_UNSET)
		size = memory->size - parameters->offset;
	if (size > memory->size - parameters->offset)
		return rpc_error_invalid_param(
			&request->error, "size", "at most what the memory has from offset on");
	*ret_size = size;
	return request_whole_pages(request, memory, "", parameters->offset, size);
}

/* What a guest_memfd has is zeroed where the guest touches it first, if nobody else can. */
static int check_populate(struct request *request, const struct memory *memory)
{
	const uint64_t needed = MEMORY_MMAP | MEMORY_INIT_SHARED;

	if (!request->parameters.memory_preallocate.populate || memory->backing == BACKING_MEMFD ||
		(memory->flags & needed) == needed)
		return 0;
	return rpc_error_invalid_param(&request->error, "populate",
		"left out, or of a memory with flags mmap and init_shared");
}

int handle_memory_preallocate(struct request *request)
{
	const struct memory_preallocate_parameters *parameters =
		&request->parameters.memory_preallocate;
	struct memory *memory;
	uint64_t size = 0;
	int r;

	r = request_memory(request, parameters->memory, &memory);
	if (r == 0)
		r = check_range(request, memory, &size);
	if (r == 0)
		r = check_populate(request, memory);
	return r < 0 ? r : preallocating_start(request, memory, size);
}

int handle_memory_cancel(struct request *request)
{
	const char *token = request->parameters.memory_cancel.token;

	if (preallocating_cancel(request->gmemd, request->caller, token))
		return 0;
	return rpc_error_not_found(&request->error, "token", token);
}
