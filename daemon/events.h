/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: telling subscribers what happens to VMs.
 *
 * A subscriber hears of the VMs that it may see. Its own sequence counts every event that was due
 * to it, delivered or not, so that a gap shows what a slow one has missed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/slot.h"
#include "protocol/event_kinds.h"

struct json_object;

struct subscriber {
	TAILQ_ENTRY(subscriber) link;
	uint64_t sequence;
	/* Whether it may see the VM. */
	bool (*sees)(const struct subscriber *subscriber, const struct vm *vm);
	/* params stays the caller's. May drop it. */
	void (*deliver)(struct subscriber *subscriber, struct json_object *params);
};

TAILQ_HEAD(events, subscriber);

void events_subscribe(struct events *events, struct subscriber *subscriber);
void events_unsubscribe(struct events *events, struct subscriber *subscriber);

void events_vm(struct events *events, const struct vm *vm, enum event_kind kind);
void events_memory(struct events *events, const struct memory *memory, enum event_kind kind);
void events_slot(struct events *events, const struct slot *slot, enum event_kind kind);
/* ioctl: its name; reason: a sentence's end. */
void events_gate_refused(
	struct events *events, const struct vm *vm, const char *ioctl, const char *reason);
