/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of events. See event_kinds.h.
 */
#include "protocol/event_kinds.h"

#include "protocol/methods.h"

#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

const struct field event_fields[] = {
	{"seq", FIELD_INTEGER,
		.summary =
			"Counts what was due to this subscriber, from 1: a gap is what it missed."},
	{"time", FIELD_INTEGER, .summary = "CLOCK_REALTIME, in microseconds."},
	{"kind", FIELD_STRING, .summary = "What has happened."},
	{"vm", FIELD_STRING, FIELD_OPTIONAL,
		.summary = "The VM's id; absent where it is of the host."},
	{"name", FIELD_STRING, FIELD_OPTIONAL, .summary = "The VM's name."},
	END,
};

const struct field progress_fields[] = {
	{"token", FIELD_STRING, .summary = "As memory.preallocate was given it."},
	{"done", FIELD_INTEGER, .summary = "Bytes of it so far."},
	{"total", FIELD_INTEGER, .summary = "Bytes of it in all."},
	END,
};

static const struct field no_fields[] = {END};

static const struct field refusal_fields[] = {
	{"ioctl", FIELD_STRING, .summary = "What was trapped."},
	{"reason", FIELD_STRING, .summary = "Why it failed with EPERM."},
	END,
};

static const struct field memory_fields[] = {
	{"memory", FIELD_INTEGER, .summary = "The memory's id."},
	{"size", FIELD_INTEGER, .summary = "Bytes."},
	END,
};

static const struct field closed_memory_fields[] = {
	{"memory", FIELD_INTEGER, .summary = "The memory's id."},
	{"size", FIELD_INTEGER, .summary = "Bytes."},
	{"resident", FIELD_INTEGER, .summary = "Bytes of its pages, which are charged."},
	END,
};

static const struct field slot_fields[] = {
	{"slot", FIELD_INTEGER, .summary = "The memslot's number."},
	{"guest_phys_addr", FIELD_INTEGER, .summary = "Bytes."},
	{"memory_size", FIELD_INTEGER, .summary = "Bytes."},
	END,
};

static const struct field waited_fields[] = {
	{"waited_ms", FIELD_INTEGER, .summary = "For how long, as the VMM has told."},
	END,
};

#define LEVEL_FIELD                                                                                \
	{                                                                                          \
		"level", FIELD_ENUM, .names = pressure_level_names,                                \
				     .summary = "How bad it is on the host."                       \
	}

static const struct field pressure_fields[] = {
	LEVEL_FIELD,
	{"ask", FIELD_INTEGER,
		.summary = "Bytes that the VMM should give back by memory.reclaim or memory.close. "
			   "0: none now."},
	{"deadline_ms", FIELD_INTEGER,
		.summary = "For how long, from now; then the VM counts as overdue."},
	END,
};

static const struct field pressure_level_fields[] = {
	LEVEL_FIELD,
	{"available", FIELD_INTEGER, .summary = "MemAvailable, in bytes."},
	{"floor", FIELD_INTEGER, .summary = "Bytes below which there is pressure."},
	END,
};

static const struct field pressure_overdue_fields[] = {
	{"asked", FIELD_INTEGER, .summary = "Bytes."},
	{"given", FIELD_INTEGER, .summary = "Bytes of them."},
	{"missed", FIELD_INTEGER,
		.summary = "Deadlines that it has missed since it last gave all."},
	END,
};

static const struct field reservation_fields[] = {
	{"reservation", FIELD_STRING, .summary = "Its id."},
	{"reserved_as", FIELD_STRING, .summary = "Its name."},
	{"size", FIELD_INTEGER, .summary = "Bytes."},
	END,
};

const struct event_description event_descriptions[EVENT_KINDS] = {
	[EVENT_VM_OPENED] = {"vm_opened", "A VM was opened.", no_fields},
	[EVENT_VM_RUNNING] = {"vm_running",
		"It was made; without a gate: its first call was reported.", no_fields},
	[EVENT_VM_RELEASED] = {"vm_released",
		"It was closed or its process has ended, and with it all its memories and slots.",
		no_fields},
	[EVENT_GATE_REFUSED] = {"gate_refused", "A trapped ioctl was refused.", refusal_fields},
	[EVENT_MEMORY_CREATED] = {"memory_created",
		"A memory is charged and waits for the VMM to create it.", memory_fields},
	[EVENT_MEMORY_READY] = {"memory_ready", "gmemd has the memory's file.", memory_fields},
	[EVENT_MEMORY_FAILED] = {"memory_failed",
		"The VMM has reported that its creation failed; its charge is gone.",
		memory_fields},
	[EVENT_MEMORY_CLOSED] = {"memory_closed",
		"Its charge is gone, but for pages that memory_remains tells of.", memory_fields},
	[EVENT_MEMORY_REMAINS] = {"memory_remains", "A closed memory has pages, which are charged.",
		closed_memory_fields},
	[EVENT_MEMORY_GONE] = {"memory_gone", "A closed memory that had pages has none any more.",
		closed_memory_fields},
	[EVENT_SLOT_BOUND] = {"slot_bound", "The VMM has reported a binding.", slot_fields},
	[EVENT_SLOT_UNBOUND] = {"slot_unbound", "The VMM has reported a deletion.", slot_fields},
	[EVENT_SLOT_FAILED] = {"slot_failed",
		"The VMM has reported that a binding or deletion failed; the slot is as before.",
		slot_fields},
	[EVENT_VM_WAITED] = {"vm_waited",
		"A change of its memory or slots, for which its VMM has waited while gmemd was "
		"away, is done.",
		waited_fields},
	[EVENT_PRESSURE] = {"pressure",
		"The host is short of memory and asks this VM to give some back; or the level has "
		"changed, which its VMM is told with an ask of 0.",
		pressure_fields},
	[EVENT_PRESSURE_LEVEL] = {"pressure_level",
		"The level has changed. Operators alone are told.", pressure_level_fields},
	[EVENT_PRESSURE_OVERDUE] = {"pressure_overdue",
		"The VM has not given all that it was asked for in time. Operators alone are told.",
		pressure_overdue_fields},
	[EVENT_RESERVATION_MADE] = {"reservation_made",
		"Memory was reserved. Of reservations operators alone are told.",
		reservation_fields},
	[EVENT_RESERVATION_USED] = {"reservation_used",
		"The VM was opened with it, and has it as its promise.", reservation_fields},
	[EVENT_RESERVATION_LAPSED] = {"reservation_lapsed", "No VM was opened with it in its time.",
		reservation_fields},
	[EVENT_RESERVATION_CANCELLED] = {"reservation_cancelled", "It was given back.",
		reservation_fields},
};
