/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's memories. See gmem.h.
 */
#include "client/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/cleanup.h"
#include "protocol/json.h"
#include "protocol/methods.h"

_Static_assert(GMEM_MEMORY_MMAP == (unsigned)MEMORY_MMAP, "flag");
_Static_assert(GMEM_MEMORY_INIT_SHARED == (unsigned)MEMORY_INIT_SHARED, "flag");

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
	else if (options->flags != GMEM_MEMORY_DEFAULT_FLAGS)
		json_add_flags(params, "flags", options->flags, memory_flag_names);
	return params;
}

/* From before it is reported: a gmemd that loses the VM then is told of it. */
static void memory_note(struct gmem_memory *memory)
{
	struct gmem_vm *vm = memory->vm;

	pthread_mutex_lock(&vm->gmem->turn);
	LIST_INSERT_HEAD(&vm->memories, memory, link);
	memory->noted = true;
	pthread_mutex_unlock(&vm->gmem->turn);
}

static void memory_forget(struct gmem_memory *memory)
{
	pthread_mutex_lock(&memory->vm->gmem->turn);
	if (memory->noted)
		LIST_REMOVE(memory, link);
	memory->noted = false;
	pthread_mutex_unlock(&memory->vm->gmem->turn);
}

/* A guest_memfd comes without FD_CLOEXEC. */
static int create_guest_memfd(struct gmem_memory *memory, struct json_object *call)
{
	uint64_t id;
	int fd;

	fd = vm_trigger(memory->vm, call, &id);
	if (fd < 0)
		return fd;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	memory->fd = fd;
	memory_note(memory);
	return vm_report_created(memory->vm, id, fd);
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

	r = connection_request(memory->vm->gmem, "memory.create", take_params, &exchange, &result);
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

/* A gate's ioctl may wait for the next gmemd, and must not keep others from it. Where that has lost
 * the VM, it fails; without a gate, it must not be that a thread tells of the VM meanwhile. */
static int make(struct gmem_memory *memory, struct json_object *take_params)
{
	bool gated = memory->vm->opening.gated;
	struct json_object *call = NULL;
	int r;

	pthread_mutex_lock(&memory->vm->gmem->turn);
	r = request_memory(memory, take_params, &call);
	if (r == 0 && call && !gated)
		r = create_guest_memfd(memory, call);
	pthread_mutex_unlock(&memory->vm->gmem->turn);
	if (r == 0 && call && gated)
		r = create_guest_memfd(memory, call);
	json_unref(call);
	return r;
}

int gmem_memory_create(struct gmem_vm *vm, uint64_t size, const struct gmem_memory_options *options,
	struct gmem_memory **ret)
{
	struct gmem_memory *memory = calloc(1, sizeof *memory);
	int r;

	if (!memory)
		return -ENOMEM;
	*memory = (struct gmem_memory){.vm = vm,
		.size = size,
		.fd = -1,
		.name = options && options->name ? strdup(options->name) : NULL,
		.flags = GMEM_MEMORY_DEFAULT_FLAGS};
	if (options && options->backing == GMEM_BACKING_GUEST_MEMFD)
		memory->flags = options->flags;
	r = make(memory, create_params(vm, size, options));
	if (r < 0) {
		gmem_memory_free(memory);
		return r;
	}
	*ret = memory;
	return 0;
}

/* Closed before the answer was lost. */
static bool is_closed(const struct exchange *exchange)
{
	char what[32];

	connection_refusal("what", what, sizeof what);
	return exchange->repeated && strcmp(what, "memory") == 0;
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
	if (r == -EREMOTEIO && is_closed(&exchange))
		return 0;
	if (r < 0)
		memory_note(memory);
	return r;
}

int gmem_memory_close(struct gmem_memory *memory)
{
	struct gmem *gmem = memory->vm->gmem;
	int r;

	pthread_mutex_lock(&gmem->turn);
	r = close_untold(memory);
	pthread_mutex_unlock(&gmem->turn);
	return r;
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

int gmem_memory_reclaimv(struct gmem_memory *memory, const struct gmem_memory_range *ranges,
	size_t count, uint64_t *ret_reclaimed)
{
	struct json_object *result;
	uint64_t reclaimed;
	int r;

	if (count == 0)
		return -EINVAL;
	if (count > GMEM_RANGES_MAX)
		return -E2BIG;
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
	memory_forget(memory);
	fd_close(memory->fd);
	free(memory->name);
	free(memory);
	return NULL;
}

int gmem_memory_fd(const struct gmem_memory *memory)
{
	return memory->fd;
}

uint64_t gmem_memory_id(const struct gmem_memory *memory)
{
	return memory->id;
}

uint64_t gmem_memory_size(const struct gmem_memory *memory)
{
	return memory->size;
}

int gmem_memory_map(
	struct gmem_memory *memory, uint64_t offset, uint64_t size, int protection, void **ret)
{
	void *mapped;

	if (offset > memory->size || size > memory->size - offset)
		return -EINVAL;
	mapped = mmap(NULL, size, protection, MAP_SHARED, memory->fd, (off_t)offset);
	if (mapped == MAP_FAILED)
		return -errno;
	*ret = mapped;
	return 0;
}
