/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What VMs of a type lack. See type_lack.h.
 */
#include "daemon/methods/type_lack.h"

#include <stdio.h>
#include <string.h>

#include "kernel/base/uapi.h"
#include "protocol/json.h"

#define TYPE_NAME_SIZE 24
#define TYPES_SIZE     128

static bool is_offered(const struct vm_type_offer *offer, uint64_t flags)
{
	(void)flags;
	return offer->offered;
}

static bool has_guest_memfd(const struct vm_type_offer *offer, uint64_t flags)
{
	(void)flags;
	return offer->guest_memfd;
}

static bool has_flags(const struct vm_type_offer *offer, uint64_t flags)
{
	return offer->guest_memfd && (offer->guest_memfd_flags & flags) == flags;
}

static bool has_private_memory(const struct vm_type_offer *offer, uint64_t flags)
{
	(void)flags;
	return offer->memory_attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

static const struct capability {
	const char *name;
	bool (*has)(const struct vm_type_offer *offer, uint64_t flags);
	const char *meaning; /* of what a type lacks */
} capabilities[] = {
	{"KVM_CAP_VM_TYPES", is_offered, NULL},
	{"KVM_CAP_GUEST_MEMFD", has_guest_memfd, "guest_memfd"},
	{"KVM_CAP_GUEST_MEMFD_FLAGS", has_flags, "these flags of guest_memfd"},
	{"KVM_CAP_MEMORY_ATTRIBUTES", has_private_memory, "private memory"},
};

static const struct capability *find_capability(const char *name)
{
	size_t i = sizeof capabilities / sizeof *capabilities - 1;

	while (i > 0 && strcmp(capabilities[i].name, name) != 0)
		i--;
	return &capabilities[i];
}

static void name_type(unsigned type, char ret[static TYPE_NAME_SIZE])
{
	const char *name = vm_type_name(type);

	if (name)
		snprintf(ret, TYPE_NAME_SIZE, "%s", name);
	else
		snprintf(ret, TYPE_NAME_SIZE, "%u", type);
}

/* "default, sw_protected"; "" where no type has it. names, which may be NULL, has each of them. */
static void list_types(const struct host_offer *host, const struct capability *capability,
	uint64_t flags, char ret[static TYPES_SIZE], struct json_object *names)
{
	char name[TYPE_NAME_SIZE];
	size_t used;

	ret[0] = '\0';
	for (unsigned type = 0; type < VM_TYPES_MAX; type++) {
		if (!host->vm_types[type].offered || !capability->has(&host->vm_types[type], flags))
			continue;
		name_type(type, name);
		used = strlen(ret);
		snprintf(ret + used, TYPES_SIZE - used, "%s%s", used > 0 ? ", " : "", name);
		if (names)
			json_append_string(names, name);
	}
}

static const char *place(const struct request *request)
{
	return request->gmemd->config.backend == BACKEND_MODEL ? "gmemd's model" : "this host";
}

static void say(struct request *request, const struct capability *capability, const char *type,
	const char *types)
{
	const char *where = place(request), *meaning = capability->meaning;
	struct rpc_error *error = &request->error;
	char proof[96];

	snprintf(proof, sizeof proof, "(%s, kernel %s)", capability->name,
		request->gmemd->host.kernel_release);
	if (!meaning)
		rpc_error_describe(error, "There are no VMs of type %s on %s, but of type %s %s.",
			type, where, types, proof);
	else if (types[0])
		rpc_error_describe(error,
			"VMs of type %s have no %s on %s; those of type %s have it %s.", type,
			meaning, where, types, proof);
	else
		rpc_error_describe(error, "VMs of type %s have no %s on %s, and no others have %s.",
			type, meaning, where, proof);
}

/* Private memory is there, but gmemd does not know the way. */
static int in_place(struct request *request, const char *type)
{
	const char *release = request->gmemd->host.kernel_release;
	struct rpc_error *error = &request->error;

	rpc_error_unsupported(error, "KVM_SET_MEMORY_ATTRIBUTES2", release);
	rpc_error_describe(error,
		"Private memory of VMs of type %s is converted in place on this host, by "
		"KVM_SET_MEMORY_ATTRIBUTES2 on the guest_memfd, which this gmemd does not do yet "
		"(kernel %s).",
		type, release);
	rpc_error_detail_string(error, "type", type);
	return error->code;
}

int request_type_lacks(
	struct request *request, unsigned type, const char *capability, uint64_t flags)
{
	const struct host_offer *host = &request->gmemd->host;
	const struct capability *found = find_capability(capability);
	struct rpc_error *error = &request->error;
	char name[TYPE_NAME_SIZE], types[TYPES_SIZE];
	struct json_object *names = json_new_array();

	name_type(type, name);
	if (found->has == has_private_memory && host->vm_types[type].converts_in_place) {
		json_unref(names);
		return in_place(request, name);
	}
	list_types(host, found, flags, types, names);
	rpc_error_unsupported(error, capability, host->kernel_release);
	say(request, found, name, types);
	rpc_error_detail_string(error, "type", name);
	json_add(error->data, "types", names);
	return error->code;
}

int request_no_type(struct request *request)
{
	char types[TYPES_SIZE], expected[TYPES_SIZE + 64];

	list_types(&request->gmemd->host, find_capability("KVM_CAP_VM_TYPES"), 0, types, NULL);
	snprintf(expected, sizeof expected, "a type of VM on %s: %s", place(request), types);
	return rpc_error_invalid_param(&request->error, "type", expected);
}
