/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's memories. See gmem.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "client/lib/trigger.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/methods.h"

_Static_assert(GMEM_MEMORY_MMAP == (unsigned)MEMORY_MMAP, "flag");
_Static_assert(GMEM_MEMORY_INIT_SHARED == (unsigned)MEMORY_INIT_SHARED, "flag");

#define FLAGS_TOLD (GMEM_MEMORY_MMAP | GMEM_MEMORY_INIT_SHARED)

/* What the VM's type offers. */
static bool by_default(uint64_t flags)
{
	return flags == 0 || flags == GMEM_MEMORY_DEFAULT_FLAGS;
}

/* Which sizes there are, and whether the memory's is a multiple, gmemd says. */
static int check_page_size(const struct gmem_memory_options *options)
{
	if (options->page_size == 0 || options->backing == GMEM_BACKING_MEMFD)
		return 0;
	return last_error_own(-EINVAL,
		"page_size must be 0 but with GMEM_BACKING_MEMFD: a guest_memfd has the host's own "
		"pages alone");
}

static int check_options(const struct gmem_memory_options *options)
{
	uint64_t flags = options->flags;
	int r = check_page_size(options);

	if (r < 0)
		return r;
	if (options->backing != GMEM_BACKING_GUEST_MEMFD && options->backing != GMEM_BACKING_MEMFD)
		return last_error_own(-EINVAL,
			"backing must be GMEM_BACKING_GUEST_MEMFD or GMEM_BACKING_MEMFD, not %d",
			(int)options->backing);
	if (by_default(flags) || flags == GMEM_MEMORY_NO_FLAGS)
		return 0;
	if (flags & ~(uint64_t)FLAGS_TOLD)
		return last_error_own(-EINVAL,
			"flags must be of GMEM_MEMORY_MMAP and GMEM_MEMORY_INIT_SHARED, or 0 for "
			"what the VM's type offers, or GMEM_MEMORY_NO_FLAGS");
	if (options->backing == GMEM_BACKING_MEMFD)
		return last_error_own(-EINVAL, "flags must be 0 with GMEM_BACKING_MEMFD");
	return 0;
}

static struct json_object *create_params(
	const struct gmem_vm *vm, uint64_t size, const struct gmem_memory_options *options)
{
	struct json_object *params = vm_params(vm);

	json_add_uint(params, "size", size);
	if (!options)
		return params;
	if (options->name)
		json_add_string(params, "name", options->name);
	if (options->backing == GMEM_BACKING_MEMFD)
		json_add_string(params, "backing", backing_names[BACKING_MEMFD]);
	else if (!by_default(options->flags))
		json_add_flags(params, "flags", options->flags & FLAGS_TOLD, memory_flag_names);
	if (options->page_size > 0)
		json_add_uint(params, "page_size", options->page_size);
	if (options->node)
		json_add_uint(params, "node", *options->node);
	return params;
}

/* From before it is reported: a gmemd that loses the VM then is told of it. */
static void memory_note(struct gmem_memory *memory)
{
	struct gmem_vm *vm = memory->vm;

	connection_take_turn_anyway(vm->gmem);
	LIST_INSERT_HEAD(&vm->memories, memory, link);
	memory->noted = true;
	connection_leave_turn(vm->gmem);
}

static void memory_forget(struct gmem_memory *memory)
{
	connection_take_turn_anyway(memory->vm->gmem);
	if (memory->noted)
		LIST_REMOVE(memory, link);
	memory->noted = false;
	connection_leave_turn(memory->vm->gmem);
}

/* In a child of the process that has it all stays as it was but what is the child's own. */
static void memory_drop(struct gmem_memory *memory)
{
	if (connection_is_own(memory->vm->gmem)) {
		memory_forget(memory);
		connection_take_turn_anyway(memory->vm->gmem);
		memory->vm->n_memories--;
		connection_leave_turn(memory->vm->gmem);
	}
	fd_close(memory->fd);
	free(memory->name);
	free(memory);
}

/* Or a gmemd that was told of it had none such. */
static bool is_noted(const struct gmem_memory *memory)
{
	bool noted;

	connection_take_turn_anyway(memory->vm->gmem);
	noted = memory->noted;
	connection_leave_turn(memory->vm->gmem);
	return noted;
}

/* It may be that gmemd has it: its report was not answered. */
static void close_later(const struct gmem_memory *memory)
{
	struct json_object *params = json_new_object();

	json_add_uint(params, "memory", memory->id);
	connection_notify_later(memory->vm->gmem, "memory.close", params);
}

/* A guest_memfd comes without FD_CLOEXEC. */
static int create_guest_memfd(struct gmem_memory *memory, struct json_object *call)
{
	uint64_t id;
	int fd, r;

	fd = vm_trigger(memory->vm, call, &id);
	if (fd < 0)
		return fd;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	memory->fd = fd;
	memory_note(memory);
	r = vm_report_created(memory->vm, id, fd);
	if (r == -ECONNRESET)
		close_later(memory);
	if (r == 0 && !is_noted(memory))
		return last_error_own(-EREMOTEIO, "gmemd was lost, and this memory with it");
	return r;
}

static int take_file(struct gmem_memory *memory, struct json_object *result, struct fd_list *fds)
{
	uint64_t index;

	if (!json_get_uint(result, "fd", &index))
		return -EPROTO;
	memory->fd = fd_list_take(fds, index);
	if (memory->fd < 0)
		return -EPROTO;
	memory_note(memory);
	return 0;
}

/* *ret_call is NULL where the memory is there already. */
static int request_memory(
	struct gmem_memory *memory, struct json_object *take_params, struct json_object **ret_call)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *result;
	int r;

	r = vm_request_call(memory->vm, "memory.create", take_params, &exchange, &result);
	if (r < 0)
		return r;
	*ret_call = json_ref(json_get(result, "call"));
	if (!json_get_uint(result, "memory", &memory->id))
		r = -EPROTO;
	else if (!*ret_call)
		r = take_file(memory, result, &exchange.received);
	fd_list_close(&exchange.received);
	json_unref(result);
	return r;
}

static int make_in_turn(
	struct gmem_memory *memory, struct json_object *take_params, struct json_object **ret_call)
{
	struct gmem *gmem = memory->vm->gmem;
	int r = connection_take_turn(gmem);

	if (r < 0) {
		json_unref(take_params);
		return r;
	}
	r = request_memory(memory, take_params, ret_call);
	if (r == 0 && *ret_call && !memory->vm->opening.gated)
		r = create_guest_memfd(memory, *ret_call);
	connection_leave_turn(gmem);
	return r;
}

/* A gate's ioctl may wait for the next gmemd, and must not keep others from it. Where that has lost
 * the VM, it fails; without a gate, it must not be that a thread tells of the VM meanwhile. */
static int make_memory(struct gmem_memory *memory, struct json_object *take_params)
{
	struct json_object *call = NULL;
	int r = make_in_turn(memory, take_params, &call);

	if (r == 0 && call && memory->vm->opening.gated)
		r = create_guest_memfd(memory, call);
	json_unref(call);
	return r;
}

static struct gmem_memory *memory_new(
	struct gmem_vm *vm, uint64_t size, const struct gmem_memory_options *options)
{
	struct gmem_memory *memory = calloc(1, sizeof *memory);

	if (!memory)
		return NULL;
	*memory = (struct gmem_memory){
		.vm = vm, .size = size, .fd = -1, .flags = GMEM_MEMORY_DEFAULT_FLAGS};
	if (options && options->name)
		memory->name = strdup(options->name);
	if (options && options->backing == GMEM_BACKING_GUEST_MEMFD && !by_default(options->flags))
		memory->flags = options->flags & FLAGS_TOLD;
	connection_take_turn_anyway(vm->gmem);
	vm->n_memories++;
	connection_leave_turn(vm->gmem);
	return memory;
}

static int create_memory(struct gmem_vm *vm, uint64_t size,
	const struct gmem_memory_options *options, struct gmem_memory **ret)
{
	struct gmem_memory *memory;
	int r = options ? check_options(options) : 0;

	if (r < 0)
		return r;
	memory = memory_new(vm, size, options);
	if (!memory)
		return -ENOMEM;
	r = make_memory(memory, create_params(vm, size, options));
	if (r < 0)
		memory_drop(memory);
	else
		*ret = memory;
	return r;
}

int gmem_memory_create(struct gmem_vm *vm, uint64_t size, const struct gmem_memory_options *options,
	struct gmem_memory **ret)
{
	int r = connection_enter(vm->gmem);

	if (r == 0) {
		vm_settle_given_up(vm);
		r = create_memory(vm, size, options, ret);
	}
	return last_error_complete(r, "creating a memory");
}

/* Closed before the answer was lost. */
static bool is_closed(const struct gmem_memory *memory, const struct exchange *exchange)
{
	return (exchange->repeated || memory->closing) &&
	       strcmp(last_error_details()->what, "memory") == 0;
}

/* Not told of meanwhile: gmemd may have closed it when the connection breaks. */
static int close_untold(struct gmem_memory *memory)
{
	struct json_object *params = json_new_object();
	struct exchange exchange = {.repeated = false};
	int r;

	memory_forget(memory);
	json_add_uint(params, "memory", memory->id);
	r = connection_request(memory->vm->gmem, "memory.close", params, &exchange, NULL);
	if (r == -EREMOTEIO && is_closed(memory, &exchange))
		return 0;
	if (r < 0)
		memory_note(memory);
	memory->closing = r == -ECONNRESET;
	return r;
}

static int close_in_turn(struct gmem_memory *memory)
{
	struct gmem *gmem = memory->vm->gmem;
	int r = connection_take_turn(gmem);

	if (r < 0)
		return r;
	r = close_untold(memory);
	connection_leave_turn(gmem);
	return r;
}

int gmem_memory_close(struct gmem_memory *memory)
{
	int r = connection_enter(memory->vm->gmem);

	if (r == 0)
		r = close_in_turn(memory);
	return last_error_complete(r, "closing a memory");
}

static struct json_object *reclaim_params(
	const struct gmem_memory *memory, const struct gmem_memory_range *ranges, size_t count)
{
	struct json_object *params = json_new_object();
	struct json_object *list;

	json_add_uint(params, "memory", memory->id);
	list = json_add_array(params, "ranges");
	for (size_t i = 0; i < count; i++) {
		struct json_object *range = json_append_object(list);

		json_add_uint(range, "offset", ranges[i].offset);
		json_add_uint(range, "size", ranges[i].size);
	}
	return params;
}

static int reclaim_ranges(struct gmem_memory *memory, const struct gmem_memory_range *ranges,
	size_t count, uint64_t *ret_reclaimed)
{
	struct json_object *result;
	uint64_t reclaimed;
	int r = vm_check_range_count(count);

	if (r == 0)
		r = connection_request(memory->vm->gmem, "memory.reclaim",
			reclaim_params(memory, ranges, count), NULL, &result);
	if (r < 0)
		return r;
	if (!json_get_uint(result, "reclaimed", &reclaimed))
		r = -EPROTO;
	else if (ret_reclaimed)
		*ret_reclaimed = reclaimed;
	json_unref(result);
	return r;
}

int gmem_memory_reclaimv(struct gmem_memory *memory, const struct gmem_memory_range *ranges,
	size_t count, uint64_t *ret_reclaimed)
{
	int r = connection_enter(memory->vm->gmem);

	if (r == 0)
		r = reclaim_ranges(memory, ranges, count, ret_reclaimed);
	return last_error_complete(r, "giving memory back");
}

int gmem_memory_reclaim(
	struct gmem_memory *memory, uint64_t offset, uint64_t size, uint64_t *ret_reclaimed)
{
	struct gmem_memory_range range = {offset, size};

	return gmem_memory_reclaimv(memory, &range, 1, ret_reclaimed);
}

struct gmem_memory *gmem_memory_free(struct gmem_memory *memory)
{
	if (!memory)
		return NULL;
	memory_drop(memory);
	return NULL;
}

int gmem_memory_fd(const struct gmem_memory *memory)
{
	int r = connection_check(memory->vm->gmem);

	return r < 0 ? r : memory->fd;
}

uint64_t gmem_memory_id(const struct gmem_memory *memory)
{
	return memory->id;
}

uint64_t gmem_memory_size(const struct gmem_memory *memory)
{
	return memory->size;
}

static int refuse_map(void)
{
	return last_error_own(-ENODEV,
		"the memory was created without GMEM_MEMORY_MMAP, or its VM's type does not offer "
		"that: it can't be mapped");
}

/* What it was not created for is refused here, where the model would let it pass. */
static int map_memory(const struct gmem_memory *memory, uint64_t offset, uint64_t size,
	int protection, void **ret)
{
	void *mapped;

	if (offset > memory->size || size > memory->size - offset)
		return last_error_own(-EINVAL,
			"offset and size must be within the memory, which has %" PRIu64 " bytes",
			memory->size);
	if (!(memory->flags & GMEM_MEMORY_MMAP))
		return refuse_map();
	if (protection & PROT_EXEC)
		return last_error_own(-EPERM, "a memory can't be mapped with PROT_EXEC");
	mapped = mmap(NULL, size, protection, MAP_SHARED, memory->fd, (off_t)offset);
	if (mapped == MAP_FAILED)
		return errno == ENODEV ? refuse_map() : -errno;
	*ret = mapped;
	return 0;
}

int gmem_memory_map(
	struct gmem_memory *memory, uint64_t offset, uint64_t size, int protection, void **ret)
{
	int r = connection_enter(memory->vm->gmem);

	if (r == 0)
		r = map_memory(memory, offset, size, protection, ret);
	return last_error_complete(r, "mapping a memory");
}
