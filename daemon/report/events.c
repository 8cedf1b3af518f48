/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events. See events.h.
 */
#include "daemon/report/events.h"

#include <time.h>

#include "protocol/json.h"

void events_subscribe(struct events *events, struct subscriber *subscriber)
{
	if (subscriber->subscribed)
		return;
	subscriber->subscribed = true;
	subscriber->sequence = 0;
	TAILQ_INSERT_TAIL(events, subscriber, link);
}

void events_unsubscribe(struct events *events, struct subscriber *subscriber)
{
	if (subscriber->subscribed)
		TAILQ_REMOVE(events, subscriber, link);
	subscriber->subscribed = false;
}

/* CLOCK_REALTIME in microseconds. */
static uint64_t realtime_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* vm: NULL for what is of none. */
static struct json_object *event_new(const struct vm *vm, enum event_kind kind)
{
	struct json_object *params = json_new_object();

	json_add_uint(params, "seq", 0);
	json_add_uint(params, "time", realtime_us());
	json_add_string(params, "kind", event_descriptions[kind].kind);
	if (!vm)
		return params;
	json_add_string(params, "vm", vm->id);
	json_add_string(params, "name", vm->name);
	return params;
}

enum audience { AUDIENCE_ALL, AUDIENCE_VMMS, AUDIENCE_OPERATORS };

static bool is_meant(
	const struct subscriber *subscriber, enum audience audience, const struct vm *vm)
{
	if (audience == (subscriber->is_operator ? AUDIENCE_VMMS : AUDIENCE_OPERATORS))
		return false;
	return !vm || subscriber->sees(subscriber, vm);
}

static void publish_to(struct events *events, enum audience audience, const struct vm *vm,
	struct json_object *take_params)
{
	struct subscriber *subscriber, *next;

	TAILQ_FOREACH_SAFE (subscriber, events, link, next) {
		if (!is_meant(subscriber, audience, vm))
			continue;
		json_add_uint(take_params, "seq", ++subscriber->sequence);
		if (take_params)
			subscriber->deliver(subscriber, take_params);
	}
	json_unref(take_params);
}

static void publish_to_all(
	struct events *events, const struct vm *vm, struct json_object *take_params)
{
	publish_to(events, AUDIENCE_ALL, vm, take_params);
}

void events_vm(struct events *events, const struct vm *vm, enum event_kind kind)
{
	if (!TAILQ_EMPTY(events))
		publish_to_all(events, vm, event_new(vm, kind));
}

void events_memory(struct events *events, const struct memory *memory, enum event_kind kind)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(memory->vm, kind);
	json_add_uint(params, "memory", memory->id);
	json_add_uint(params, "size", memory->size);
	publish_to_all(events, memory->vm, params);
}

void events_closed_memory(struct events *events, const struct memory *memory)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(
		memory->vm, memory->resident > 0 ? EVENT_MEMORY_REMAINS : EVENT_MEMORY_GONE);
	json_add_uint(params, "memory", memory->id);
	json_add_uint(params, "size", memory->size);
	json_add_uint(params, "resident", memory->resident);
	publish_to_all(events, memory->vm, params);
}

void events_slot(struct events *events, const struct slot *slot, enum event_kind kind)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(slot_vm(slot), kind);
	json_add_uint(params, "slot", slot->number);
	json_add_uint(params, "guest_phys_addr", slot->guest_phys_addr);
	json_add_uint(params, "memory_size", slot->memory_size);
	publish_to_all(events, slot_vm(slot), params);
}

void events_vm_waited(struct events *events, const struct vm *vm, uint64_t waited_ms)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(vm, EVENT_VM_WAITED);
	json_add_uint(params, "waited_ms", waited_ms);
	publish_to_all(events, vm, params);
}

void events_gate_refused(
	struct events *events, const struct vm *vm, const char *ioctl, const char *reason)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(vm, EVENT_GATE_REFUSED);
	json_add_string(params, "ioctl", ioctl);
	json_add_string(params, "reason", reason);
	publish_to_all(events, vm, params);
}

static void publish_pressure(struct events *events, enum audience audience, const struct vm *vm,
	enum pressure_level level, uint64_t ask, uint64_t deadline)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(vm, EVENT_PRESSURE);
	json_add_string(params, "level", pressure_level_name(level));
	json_add_uint(params, "ask", ask);
	json_add_uint(params, "deadline_ms", deadline);
	publish_to(events, audience, vm, params);
}

void events_pressure(struct events *events, const struct vm *vm, enum pressure_level level)
{
	publish_pressure(events, AUDIENCE_VMMS, vm, level, /* ask= */ 0, /* deadline= */ 0);
}

void events_pressure_asked(struct events *events, const struct vm *vm, enum pressure_level level,
	uint64_t ask, uint64_t deadline)
{
	publish_pressure(events, AUDIENCE_ALL, vm, level, ask, deadline);
}

void events_pressure_level(
	struct events *events, enum pressure_level level, uint64_t available, uint64_t floor)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(/* vm= */ NULL, EVENT_PRESSURE_LEVEL);
	json_add_string(params, "level", pressure_level_name(level));
	json_add_uint(params, "available", available);
	json_add_uint(params, "floor", floor);
	publish_to(events, AUDIENCE_OPERATORS, /* vm= */ NULL, params);
}

void events_pressure_overdue(
	struct events *events, const struct vm *vm, uint64_t asked, uint64_t given, unsigned missed)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(vm, EVENT_PRESSURE_OVERDUE);
	json_add_uint(params, "asked", asked);
	json_add_uint(params, "given", given);
	json_add_uint(params, "missed", missed);
	publish_to(events, AUDIENCE_OPERATORS, vm, params);
}

void events_reservation(struct events *events, const struct reservation *reservation,
	const struct vm *vm, enum event_kind kind)
{
	struct json_object *params;

	if (TAILQ_EMPTY(events))
		return;
	params = event_new(vm, kind);
	json_add_string(params, "reservation", reservation->id);
	json_add_string(params, "reserved_as", reservation->name);
	json_add_uint(params, "size", reservation->budget.limit);
	publish_to(events, AUDIENCE_OPERATORS, vm, params);
}
