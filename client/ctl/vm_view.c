/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What vm.get tells. See vm_view.h.
 */
#include "client/ctl/vm_view.h"

#include <string.h>

#include "protocol/json.h"

const struct json_object *vm_view_memory(const struct json_object *vm, uint64_t memory)
{
	const struct json_object *memories = json_get(vm, "memories");
	uint64_t id;

	for (size_t i = 0; i < json_length(memories); i++) {
		if (json_get_uint(json_at(memories, i), "memory", &id) && id == memory)
			return json_at(memories, i);
	}
	return NULL;
}

bool vm_view_has_mmap(const struct json_object *vm, uint64_t memory)
{
	const struct json_object *found = vm_view_memory(vm, memory);
	const struct json_object *flags = found ? json_get(found, "flags") : NULL;

	for (size_t i = 0; i < json_length(flags); i++) {
		if (strcmp(json_string(json_at(flags, i)), "mmap") == 0)
			return true;
	}
	return false;
}

int vm_view_private(const struct json_object *vm, struct ranges *ret)
{
	struct json_object *list = json_get(vm, "private_ranges");
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_length(list); i++) {
		uint64_t start = 0, size = 0;

		json_get_uint(json_at(list, i), "guest_phys_addr", &start);
		json_get_uint(json_at(list, i), "size", &size);
		r = ranges_add(ret, start, size);
	}
	return r;
}
