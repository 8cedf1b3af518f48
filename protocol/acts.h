/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Acts: what an auditor asks for, of which gmemd writes an entry to the journal each.
 *
 * One table, act_table.h, drives the entries, the message catalogue (journalctl -x), the
 * reference's list of them, and the counters of metrics.get.
 */
#pragma once

#include "protocol/field.h"

#define ACT(symbol, ...) ACT_##symbol,
enum act {
#include "protocol/act_table.h"
	ACTS
};
#undef ACT

/* What an entry is about: which fields it has. */
enum act_whose {
	ACT_OF_VM,
	ACT_OF_PEER, /* a process that connected, and its VM where it has one */
	ACT_OF_USER,
	ACT_OF_HOST,
};

struct act_description {
	const char *name;
	const char *message_id; /* 32 hexadecimal digits */
	int level;              /* syslog(3)'s */
	enum act_whose whose;
	const char *also; /* names of fields that its entries have too */
	const char *subject, *summary, *advice;
};

extern const struct act_description act_descriptions[ACTS];

/* The fields of an entry about that, with a space between. */
extern const char *const act_fields[];

/* The upper bounds of the buckets that requests are counted in by how long they took; what took
 * longer than all is in none. */
#define REQUEST_TIME_BUCKETS 12
extern const uint64_t request_time_bounds_us[REQUEST_TIME_BUCKETS];

/* Behind the counters of the acts. */
enum metric_gauge {
	METRIC_VMS = ACTS,
	METRIC_MEMORIES,
	METRIC_COMMITTED,
	METRIC_RESIDENT,
	METRIC_CLOSED,
	METRIC_PROMISED,
	METRIC_RESERVATIONS,
	METRIC_RESERVED,
	METRIC_LIMIT,
	METRIC_UNCOMMITTED,
	METRIC_AVAILABLE,
	METRIC_FLOOR,
	METRIC_PRESSURE,
	METRIC_ASKED,
	METRIC_OVERDUE,
	METRIC_KEEPER,
	METRIC_RELOAD_REFUSED,
	METRIC_UPTIME,
	METRIC_REQUEST_TIMES, /* a histogram for each method */
	METRICS
};

/* The result of metrics.get: a counter for each act, by its number, then the gauges, and the
 * histograms. */
extern const struct field metric_fields[];
