/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM with private memory. See private_vm.h.
 */
#include "tests/lib/private_vm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon/base/container_of.h"
#include "daemon/owner/scheduler.h"
#include "daemon/pages/page_worker.h"
#include "daemon/pressure/watch.h"
#include "daemon/release/call_reports.h"
#include "daemon/start/core.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_new.h"
#include "kernel/base/uapi.h"
#include "protocol/json.h"

#define SW_PROTECTED 1

static void check(int r)
{
	if (r < 0)
		abort();
}

static void gmemd_set_up(struct gmemd *gmemd, const struct backend *backend)
{
	const struct config config = {
		.gate_policy = GATE_POLICY_PREFERRED,
		.peers_per_user = 8,
		.vms_per_user = 8,
		.memories_per_user = 64,
		.memories_per_vm = 64,
		.slots_per_vm = 64,
		.private_ranges_per_vm = 2u << 20,
		.own_memory_per_vm = 1u << 20,
	};

	core_init(gmemd, &config);
	gmemd->host.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	gmemd->host.memory_total = (uint64_t)1 << 50;
	strcpy(gmemd->host.kernel_release, "made up");
	gmemd->host.vm_types[SW_PROTECTED] = (struct vm_type_offer){
		.offered = true,
		.guest_memfd = true,
		.memory_attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.memslots = 1000,
		.address_spaces = 1,
	};
	check(core_set_up(gmemd, backend));
	gmemd->base = event_base_new();
	if (!gmemd->base || event_base_priority_init(gmemd->base, SCHEDULER_PRIORITIES) < 0)
		abort();
	check(pressure_watch_new(gmemd, &gmemd->pressure));
	check(scheduler_new(gmemd->base, gmemd->owners, &gmemd->scheduler));
	check(page_worker_new(gmemd->base, gmemd->scheduler, gmemd->owners, NULL, &gmemd->pages));
	gmemd->registry.pages = gmemd->pages;
	check(call_reports_new(gmemd, &gmemd->call_reports));
}

/* Of an answer that is deferred. */

static void take_answer(struct caller *caller, struct json_object *message,
	struct fd_list *take_fds, struct later *take_later)
{
	struct private_vm *private_vm = CONTAINER_OF(caller, struct private_vm, caller);

	(void)take_fds;
	(void)take_later;
	json_unref(private_vm->answer);
	private_vm->answer = json_ref(message);
}

static void go_on(struct caller *caller)
{
	(void)caller;
}

void private_vm_init(struct private_vm *ret, const struct backend *backend)
{
	struct vm_request request = {
		.name = "private", .type = SW_PROTECTED, .commit_limit = BUDGET_UNLIMITED};
	const struct owner_name name = {.uid = getuid()};

	gmemd_set_up(&ret->gmemd, backend);
	ret->caller = (struct caller){.access = ACCESS_VMM,
		.process = {.identity = 1,
			.pid = getpid(),
			.uid = getuid(),
			.pidfd = pidfd_open(getpid(), 0)},
		.send = take_answer,
		.go_on = go_on};
	ret->packet.length = 0;
	check(owner_get(ret->gmemd.owners, &name, &ret->caller.owner));
	request.opener = ret->caller.owner;
	check(vm_new(&ret->gmemd.registry, &ret->caller.process, &request, &ret->vm));
	vm_state_change(&ret->vm->state, VM_RUNNING);
}

void private_vm_end(struct private_vm *private_vm)
{
	struct gmemd *gmemd = &private_vm->gmemd;

	page_worker_stop(gmemd->pages);
	pressure_watch_free(private_vm->gmemd.pressure);
	vms_free(&private_vm->gmemd.registry);
	capacity_clear(&private_vm->gmemd.capacity);
	process_release(&private_vm->caller.process);
	owner_unref(private_vm->caller.owner);
	call_reports_free(gmemd->call_reports);
	page_worker_free(gmemd->pages);
	scheduler_free(gmemd->scheduler);
	owners_free(gmemd->owners);
	event_base_free(gmemd->base);
}

struct memory *private_vm_memory(
	struct private_vm *private_vm, enum memory_backing backing, uint64_t size)
{
	const struct memory_request request = {.size = size, .backing = backing, .node = NODE_ANY};
	const struct budget *refused;
	struct memory *memory = NULL;
	uint64_t bytes;

	check(memory_new(private_vm->vm, &request, &memory, &refused, &bytes));
	check(memory_make_memfd(memory));
	return memory;
}

struct slot *private_vm_slot(struct private_vm *private_vm, const struct slot_request *request)
{
	struct slot *slot = NULL;

	check(slot_new(private_vm->vm, request, &slot));
	slot->state = OBJECT_READY;
	return slot;
}

/* As its peer reads it. */
static struct json_object *reread(struct json_object *take_answer)
{
	struct json_object *read;
	const char *text, *why;
	size_t length;

	if (!take_answer)
		return NULL;
	text = json_print(take_answer, &length);
	read = json_parse(text, length, &why);
	json_unref(take_answer);
	return read;
}

struct json_object *private_vm_answer(struct private_vm *private_vm)
{
	struct json_object *answer;

	while (private_vm->caller.held > 0)
		event_base_loop(private_vm->gmemd.base, EVLOOP_ONCE);
	answer = private_vm->answer;
	private_vm->answer = NULL;
	return reread(answer);
}

static struct json_object *dispatch(struct private_vm *private_vm)
{
	const struct packet_bytes packet = {
		private_vm->packet.bytes, private_vm->packet.length, /* too_long= */ false};
	struct fd_list fds;
	struct json_object *answer =
		dispatch_packet(&private_vm->gmemd, &private_vm->caller, &packet, &fds);

	fd_list_close(&fds);
	return reread(answer);
}

static struct json_object *ask(struct private_vm *private_vm)
{
	struct json_object *answer = dispatch(private_vm);

	return answer ? answer : private_vm_answer(private_vm);
}

bool private_vm_begin(struct private_vm *private_vm, const char *format, ...)
{
	struct packet *packet = &private_vm->packet;
	va_list arguments;

	va_start(arguments, format);
	packet->length = (size_t)vsnprintf(packet->bytes, sizeof packet->bytes, format, arguments);
	va_end(arguments);
	private_vm->answer = dispatch(private_vm);
	return private_vm->caller.held > 0;
}

struct json_object *private_vm_ask(struct private_vm *private_vm, const char *format, ...)
{
	struct packet *packet = &private_vm->packet;
	va_list arguments;

	va_start(arguments, format);
	packet->length = (size_t)vsnprintf(packet->bytes, sizeof packet->bytes, format, arguments);
	va_end(arguments);
	return ask(private_vm);
}

struct json_object *private_vm_convert(struct private_vm *private_vm, enum convert_to to,
	bool discard, const struct guest_range *ranges, size_t count)
{
	private_vm_write_convert(private_vm, to, discard, ranges, count, &private_vm->packet);
	return ask(private_vm);
}

void private_vm_write_convert(struct private_vm *private_vm, enum convert_to to, bool discard,
	const struct guest_range *ranges, size_t count, struct packet *ret)
{
	size_t room = sizeof ret->bytes;
	size_t length = (size_t)snprintf(ret->bytes, room,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"memory.convert\",\"params\":{\"vm\":"
		"\"%s\",\"to\":\"%s\",\"discard\":%s,\"ranges\":[",
		private_vm->vm->id, convert_to_names[to], discard ? "true" : "false");

	for (size_t i = 0; i < count && length < room; i++)
		length += (size_t)snprintf(ret->bytes + length, room - length,
			"%s{\"guest_phys_addr\":%" PRIu64 ",\"size\":%" PRIu64 "}",
			i > 0 ? "," : "", ranges[i].guest_phys_addr, ranges[i].size);
	if (length >= room - 3)
		abort();
	strcpy(ret->bytes + length, "]}}");
	ret->length = length + 3;
	ret->fds.count = 0;
	ret->fault = PACKET_WHOLE;
}
