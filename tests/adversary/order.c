/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd is asked for, rightly: memory, slots, and the reports of what came of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "protocol/json.h"
#include "tests/adversary/adversary.h"

/* Where control() puts its slot: no attack uses these. */
#define CONTROL_SLOT    100
#define CONTROL_ADDRESS 0x100000000ull

static int order_any(
	struct world *world, const char *method, struct json_object *take_params, struct order *ret)
{
	uint64_t request = 0, address = 0, word = 0;
	struct json_object *result, *call;
	int r;

	r = connection_request(world->gmem, method, take_params, NULL, &result);
	if (r < 0)
		return r;
	*ret = (struct order){.memory = 0};
	call = json_get(result, "call");
	json_get_uint(result, "memory", &ret->memory);
	json_get_uint(call, "id", &ret->call);
	json_get_uint(call, "request", &request);
	json_get_uint(call, "address", &address);
	if (json_get_uint(call, "report", &word))
		ret->place = report_place_told(word, 0, 1);
	ret->request = (uint32_t)request;
	ret->entry = (void *)(uintptr_t)address;
	json_unref(result);
	return 0;
}

int order_memory(struct world *world, uint64_t size, struct order *ret)
{
	struct json_object *params = vm_params(&world->vm);

	json_add_uint(params, "size", size);
	return order_any(world, "memory.create", params, ret);
}

static struct json_object *slot_params(
	struct world *world, uint32_t slot, uint64_t guest_phys_addr, uint64_t size)
{
	struct json_object *params = vm_params(&world->vm);

	json_add_uint(params, "slot", slot);
	json_add_uint(params, "guest_phys_addr", guest_phys_addr);
	json_add_uint(params, "memory_size", size);
	return params;
}

int order_mapped_slot(struct world *world, uint32_t slot, uint64_t guest_phys_addr,
	const void *mapped, uint64_t memory, int fd, struct order *ret)
{
	struct json_object *params = slot_params(world, slot, guest_phys_addr, PAGE);

	json_add_uint(params, "userspace_addr", (uintptr_t)mapped);
	json_add_uint(params, "memory", memory);
	json_add_uint(params, "guest_memfd_offset", 0);
	json_add_uint(params, "guest_memfd", (uint64_t)fd);
	return order_any(world, "slot.bind", params, ret);
}

int order_slot(struct world *world, uint32_t slot, uint64_t guest_phys_addr, uint64_t memory,
	int fd, struct order *ret)
{
	return order_mapped_slot(world, slot, guest_phys_addr, NULL, memory, fd, ret);
}

int order_own_slot(struct world *world, uint32_t slot, uint64_t guest_phys_addr, uint64_t size,
	const void *memory, struct order *ret)
{
	struct json_object *params = slot_params(world, slot, guest_phys_addr, size);

	json_add_uint(params, "userspace_addr", (uintptr_t)memory);
	json_add_null(params, "memory");
	return order_any(world, "slot.bind", params, ret);
}

int order_unbind(struct world *world, uint32_t slot, struct order *ret)
{
	struct json_object *params = vm_params(&world->vm);

	json_add_uint(params, "slot", slot);
	return order_any(world, "slot.unbind", params, ret);
}

int close_memory(struct world *world, uint64_t memory)
{
	struct json_object *params = json_new_object();

	json_add_uint(params, "memory", memory);
	return connection_request(world->gmem, "memory.close", params, NULL, NULL);
}

int trigger(const struct world *world, const struct order *order)
{
	return ioctl(world->vm.fd, order->request, order->entry);
}

static struct json_object *report_params(
	const struct world *world, const struct order *order, uint64_t done)
{
	struct json_object *params = vm_params(&world->vm);

	json_add_uint(params, "call", order->call);
	json_add_uint(params, "done", done);
	return params;
}

int report(struct world *world, const struct order *order, int fd)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *params = report_params(world, order, 1);

	if (fd >= 0)
		json_add_uint(params, "fd", (uint64_t)fd);
	return connection_request(world->gmem, "call.done", params, &exchange, NULL);
}

int report_failure(struct world *world, const struct order *order, const char *number)
{
	struct json_object *params = report_params(world, order, 0);

	json_add_string(params, "errno", number);
	return connection_request(world->gmem, "call.done", params, NULL, NULL);
}

bool reason_is(const char *reason)
{
	const char *text = gmem_last_error(), *why;
	struct json_object *error = json_parse(text, strlen(text), &why);
	bool same = strcmp(json_get_string(json_get(error, "data"), "reason"), reason) == 0;

	json_unref(error);
	return same;
}

int make_memory(struct world *world, uint64_t size, struct order *ret)
{
	int fd;

	require(order_memory(world, size, ret) == 0, "gmemd writes a creation");
	fd = trigger(world, ret);
	require(fd >= 0, "the creation works");
	require(report(world, ret, fd) == 0, "gmemd takes the new memory");
	return fd;
}

struct kvm_create_guest_memfd creation_of(uint64_t size)
{
	return (struct kvm_create_guest_memfd){
		.size = size, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
}

struct kvm_create_guest_memfd expected_creation(const struct world *world, uint64_t size)
{
	int offered = ioctl(world->vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);
	struct kvm_create_guest_memfd creation = creation_of(size);

	require(offered >= 0, "the VM's flags of guest_memfd are known");
	creation.flags &= (unsigned)offered;
	return creation;
}

struct kvm_userspace_memory_region2 slot_of(uint32_t slot, uint64_t guest_phys_addr, int fd)
{
	return (struct kvm_userspace_memory_region2){
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = guest_phys_addr,
		.memory_size = PAGE,
		.guest_memfd = (uint32_t)fd,
	};
}

void control(struct world *world)
{
	struct order memory, slot;
	int fd = make_memory(world, PAGE, &memory);

	require(order_slot(world, CONTROL_SLOT, CONTROL_ADDRESS, memory.memory, fd, &slot) == 0,
		"gmemd writes a slot");
	require(trigger(world, &slot) == 0 && report(world, &slot, -1) == 0, "the slot is bound");
	require(order_unbind(world, CONTROL_SLOT, &slot) == 0, "gmemd writes a slot's end");
	require(trigger(world, &slot) == 0 && report(world, &slot, -1) == 0, "the slot is unbound");
	close(fd);
	require(close_memory(world, memory.memory) == 0, "the memory is given back");
	verdict(true, "control: what gmemd writes can be created, bound, unbound and closed");
}
