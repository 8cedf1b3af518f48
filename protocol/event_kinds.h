/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kinds of events: one table that says what each is called, when it comes and what it carries.
 *
 * The daemon names its events by it, and rpc.discover and the reference describe them from it.
 */
#pragma once

#include "protocol/field.h"

enum event_kind {
	EVENT_VM_OPENED,
	EVENT_VM_RUNNING,
	EVENT_VM_RELEASED,
	EVENT_GATE_REFUSED,
	EVENT_MEMORY_CREATED,
	EVENT_MEMORY_READY,
	EVENT_MEMORY_FAILED,
	EVENT_MEMORY_CLOSED,
	EVENT_MEMORY_REMAINS,
	EVENT_MEMORY_GONE,
	EVENT_SLOT_BOUND,
	EVENT_SLOT_UNBOUND,
	EVENT_SLOT_FAILED,
	EVENT_VM_WAITED,
	EVENT_PRESSURE,
	EVENT_PRESSURE_LEVEL,
	EVENT_PRESSURE_OVERDUE,
	EVENT_RESERVATION_MADE,
	EVENT_RESERVATION_USED,
	EVENT_RESERVATION_LAPSED,
	EVENT_RESERVATION_CANCELLED,
	EVENT_KINDS
};

struct event_description {
	const char *kind;
	const char *summary;
	const struct field *fields; /* besides those of every event */
};

extern const struct event_description event_descriptions[EVENT_KINDS];

/* The parameters of the notification "progress", which comes of a preallocation. */
extern const struct field progress_fields[];

/* What every event has: the parameters of the notification "event". */
extern const struct field event_fields[];
