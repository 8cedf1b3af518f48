/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Acts and metrics. See acts.h.
 */
#include "protocol/acts.h"

#include <syslog.h>

#define ACT(symbol, name, ...) [ACT_##symbol] = {name, __VA_ARGS__},
const struct act_description act_descriptions[ACTS] = {
#include "protocol/act_table.h"
};
#undef ACT

const char *const act_fields[] = {
	[ACT_OF_VM] = "GMEMD_VM GMEMD_VM_NAME GMEMD_UUID GMEMD_TENANT GMEMD_PID GMEMD_UID",
	[ACT_OF_PEER] = "GMEMD_TENANT GMEMD_PID GMEMD_UID",
	[ACT_OF_USER] = "GMEMD_TENANT GMEMD_UID",
	[ACT_OF_HOST] = "",
};

#define ACT(symbol, act_name, id, level, whose, also, subject, act_summary, advice)                \
	[ACT_##symbol] = {"gmemd_" act_name "_total", FIELD_INTEGER, .summary = act_summary},
#define GAUGE(metric, metric_name, metric_summary)                                                 \
	[metric] = {metric_name, FIELD_INTEGER, .summary = metric_summary}

const uint64_t request_time_bounds_us[REQUEST_TIME_BUCKETS] = {
	25, 50, 100, 250, 500, 1000, 2500, 10000, 50000, 250000, 1000000, 10000000};

static const struct field method_time_fields[] = {
	{"method", FIELD_STRING, .summary = "Its name."},
	{"buckets", FIELD_ARRAY,
		.summary = "For each bound how many requests took so long or less: integers."},
	{"count", FIELD_INTEGER, .summary = "All of them."},
	{"sum_us", FIELD_INTEGER, .summary = "Microseconds that all of them took together."},
	{.name = NULL},
};

static const struct field request_time_fields[] = {
	{"bounds_us", FIELD_ARRAY, .summary = "Of the buckets, in microseconds: integers."},
	{"methods", FIELD_ARRAY, .fields = method_time_fields, .summary = "All there are."},
	{.name = NULL},
};

const struct field metric_fields[] = {
#include "protocol/act_table.h"
	GAUGE(METRIC_VMS, "gmemd_vms", "VMs that there are."),
	GAUGE(METRIC_MEMORIES, "gmemd_memories", "Their memories."),
	GAUGE(METRIC_COMMITTED, "gmemd_committed_bytes", "Bytes that are charged to them."),
	GAUGE(METRIC_RESIDENT, "gmemd_resident_bytes",
		"Bytes of pages allocated in them, when they were last counted."),
	GAUGE(METRIC_CLOSED, "gmemd_closed_resident_bytes",
		"Bytes of pages in closed memories, whose files somebody has still."),
	GAUGE(METRIC_PROMISED, "gmemd_promised_bytes",
		"Bytes that are promised to them, and to reservations."),
	GAUGE(METRIC_RESERVATIONS, "gmemd_reservations",
		"Reservations that no VM was opened with yet."),
	GAUGE(METRIC_RESERVED, "gmemd_reserved_bytes", "Bytes that are promised to those."),
	GAUGE(METRIC_LIMIT, "gmemd_commit_limit_bytes", "Bytes that may be committed on the host."),
	GAUGE(METRIC_UNCOMMITTED, "gmemd_uncommitted_bytes", "Bytes of them that would still fit."),
	GAUGE(METRIC_AVAILABLE, "gmemd_host_available_bytes",
		"Bytes of the host's memory that are to be had without swapping."),
	GAUGE(METRIC_FLOOR, "gmemd_pressure_floor_bytes",
		"Bytes available below which there is memory pressure; 0: there never is."),
	GAUGE(METRIC_PRESSURE, "gmemd_pressure_level",
		"Memory pressure: 0 none, 1 low, 2 medium, 3 critical."),
	GAUGE(METRIC_ASKED, "gmemd_pressure_vms_asked",
		"VMs that have been asked for memory since there is pressure."),
	GAUGE(METRIC_OVERDUE, "gmemd_pressure_vms_overdue",
		"VMs of these that have missed a deadline."),
	GAUGE(METRIC_KEEPER, "gmemd_keeper_held",
		"1 where gmemd-keeper has all that is to outlive gmemd, else 0."),
	GAUGE(METRIC_RELOAD_REFUSED, "gmemd_reload_refused",
		"1 where the configuration was read anew last and is wrong, else 0."),
	GAUGE(METRIC_UPTIME, "gmemd_uptime_seconds", "Since gmemd was started."),
	[METRIC_REQUEST_TIMES] = {"gmemd_request_duration_seconds", FIELD_OBJECT,
		.fields = request_time_fields,
		.summary = "From when a request is taken up until its answer is made."},
	[METRICS] = {.name = NULL},
};
