/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memories for other processes: granting them, and opening what was granted.
 */
#include <errno.h>
#include <stddef.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "client/lib/vm_state.h"
#include "protocol/json.h"

static const char *const grantees[] = {
	[GMEM_GRANT_TO_UID] = "uid", [GMEM_GRANT_TO_PID] = "pid", [GMEM_GRANT_TO_PIDFD] = "pidfd"};

static int grant(
	struct gmem *gmem, uint64_t memory, const struct gmem_grantee *to, uint64_t *ret_grant)
{
	struct json_object *params = json_new_object(), *result;
	uint64_t id;
	int r;

	json_add_uint(params, "memory", memory);
	json_add_uint(json_add_object(params, "to"), grantees[to->kind], to->number);
	json_add_bool(params, "once", to->once);
	r = connection_request(gmem, "memory.grant", params, NULL, &result);
	if (r < 0)
		return r;
	if (!json_get_uint(result, "grant", &id))
		r = -EPROTO;
	else if (ret_grant)
		*ret_grant = id;
	json_unref(result);
	return r;
}

static bool is_known(const struct gmem_grantee *to)
{
	return (size_t)to->kind < sizeof grantees / sizeof *grantees;
}

int gmem_memory_grant(
	struct gmem_memory *memory, const struct gmem_grantee *to, uint64_t *ret_grant)
{
	int r = connection_enter(memory->vm->gmem);

	if (r == 0 && !is_known(to))
		r = last_error_own(-EINVAL, "kind must be one of enum gmem_grantee_kind");
	if (r == 0)
		r = grant(memory->vm->gmem, memory->id, to, ret_grant);
	return last_error_complete(r, "granting a memory");
}

static int take_opened(
	const struct json_object *result, struct fd_list *fds, int *ret_fd, uint64_t *ret_size)
{
	uint64_t index, size;
	int fd;

	if (!json_get_uint(result, "fd", &index) || !json_get_uint(result, "size", &size))
		return -EPROTO;
	fd = fd_list_take(fds, index);
	if (fd < 0)
		return -EPROTO;
	*ret_fd = fd;
	if (ret_size)
		*ret_size = size;
	return 0;
}

static int open_granted(struct gmem *gmem, uint64_t memory, int *ret_fd, uint64_t *ret_size)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *params = json_new_object(), *result;
	int r;

	json_add_uint(params, "memory", memory);
	r = connection_request(gmem, "memory.open", params, &exchange, &result);
	if (r < 0)
		return r;
	r = take_opened(result, &exchange.received, ret_fd, ret_size);
	fd_list_close(&exchange.received);
	json_unref(result);
	return r;
}

int gmem_open_granted(struct gmem *gmem, uint64_t memory, int *ret_fd, uint64_t *ret_size)
{
	int r = connection_enter(gmem);

	if (r == 0)
		r = open_granted(gmem, memory, ret_fd, ret_size);
	return last_error_complete(r, "opening a granted memory");
}
