/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: telling subscribers what happens to VMs.
 *
 * A subscriber hears of the VMs that it may see, an operator of the host as well. Its own sequence
 * counts every event that was due to it, delivered or not, so that a gap shows what a slow one has
 * missed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/report/pressure_level.h"
#include "daemon/vm/slot.h"
#include "protocol/event_kinds.h"

struct json_object;

struct subscriber {
	TAILQ_ENTRY(subscriber) link;
	uint64_t sequence;
	bool subscribed; /* it is told of what happens from now on */
	bool is_operator;
	/* Whether it may see the VM. */
	bool (*sees)(const struct subscriber *subscriber, const struct vm *vm);
	/* params stays the caller's. May drop it. */
	void (*deliver)(struct subscriber *subscriber, struct json_object *params);
};

TAILQ_HEAD(events, subscriber);

/* One that has subscribed already stays as it is. */
void events_subscribe(struct events *events, struct subscriber *subscriber);
void events_unsubscribe(struct events *events, struct subscriber *subscriber);

void events_vm(struct events *events, const struct vm *vm, enum event_kind kind);
void events_memory(struct events *events, const struct memory *memory, enum event_kind kind);
/* Of a closed memory that has pages, or has none any more. */
void events_closed_memory(struct events *events, const struct memory *memory);
void events_slot(struct events *events, const struct slot *slot, enum event_kind kind);
/* Its VMM has waited so many milliseconds for gmemd. */
void events_vm_waited(struct events *events, const struct vm *vm, uint64_t waited_ms);
/* ioctl: its name; reason: a sentence's end. */
void events_gate_refused(
	struct events *events, const struct vm *vm, const char *ioctl, const char *reason);

/* To the VM alone: the level. */
void events_pressure(struct events *events, const struct vm *vm, enum pressure_level level);
/* The VM is asked for bytes, by a deadline in milliseconds from now. */
void events_pressure_asked(struct events *events, const struct vm *vm, enum pressure_level level,
	uint64_t ask, uint64_t deadline);
/* To operators alone: of the host, and of a VM that has not answered its ask in time. */
void events_pressure_level(
	struct events *events, enum pressure_level level, uint64_t available, uint64_t floor);
/* To operators alone; vm: that was opened with it, or NULL. */
void events_reservation(struct events *events, const struct reservation *reservation,
	const struct vm *vm, enum event_kind kind);
void events_pressure_overdue(struct events *events, const struct vm *vm, uint64_t asked,
	uint64_t given, unsigned missed);
