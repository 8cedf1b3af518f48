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
const struct field metric_fields[] = {
#include "protocol/act_table.h"
	GAUGE(METRIC_VMS, "gmemd_vms", "VMs that there are."),
	GAUGE(METRIC_MEMORIES, "gmemd_memories", "Their memories."),
	GAUGE(METRIC_COMMITTED, "gmemd_committed_bytes", "Bytes that are charged to them."),
	GAUGE(METRIC_PROMISED, "gmemd_promised_bytes",
		"Bytes that are promised to them, and to reservations."),
	GAUGE(METRIC_RESERVATIONS, "gmemd_reservations",
		"Reservations that no VM was opened with yet."),
	GAUGE(METRIC_RESERVED, "gmemd_reserved_bytes", "Bytes that are promised to those."),
	GAUGE(METRIC_LIMIT, "gmemd_commit_limit_bytes", "Bytes that may be committed on the host."),
	[METRICS] = {.name = NULL},
};
