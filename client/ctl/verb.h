/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl's verbs: one table that says of each what it is called with and what it does. Dispatch
 * and help are made from it.
 */
#pragma once

#include <stddef.h>

#include "client/ctl/program.h"
#include "client/ctl/table.h"

/* Options that not every verb takes. */
enum verb_options {
	VERB_BYTES = 1 << 0,
	VERB_COUNT = 1 << 1,
	VERB_MEMORY = 1 << 2,
	VERB_NODE = 1 << 3,
	VERB_THREADS = 1 << 4,
	VERB_FORCE = 1 << 5,
	VERB_INTERVAL = 1 << 6,
	VERB_SORT = 1 << 7,
	VERB_OUTPUT = 1 << 8,
	VERB_NO_HEADINGS = 1 << 9,
	VERB_NAME = 1 << 10,
	VERB_TENANT = 1 << 11,
	VERB_STATE = 1 << 12,
	VERB_UNIT = 1 << 13,
	VERB_PID = 1 << 14,
	VERB_WATCH = 1 << 15,
	VERB_TTL = 1 << 16,
	VERB_POPULATE = 1 << 17,
	VERB_VMS = 1 << 18,
	VERB_FILE = 1 << 19, /* --output, too, but of a file */
};

/* How help shows each; ends with one without usage. */
struct verb_option {
	unsigned option;
	const char *usage;
	const char *summary;
};

extern const struct verb_option verb_options[];

struct verb {
	const char *name;
	const char *arguments; /* as help shows them; optional ones in brackets */
	int arguments_min, arguments_max;
	unsigned options;
	/* arguments: ends with NULL. */
	enum ctl_status (*run)(struct ctl *ctl, char **arguments);
	const char *summary;
	const struct table *tables; /* that it prints; NULL: none */
};

/* Ends with a verb without a name. */
extern const struct verb verbs[];

/* NULL where there is none. */
const struct verb *verb_by_name(const char *name);
/* All names, with a space before each. Truncates to size. */
void verb_names(char *ret, size_t size);

extern const struct table vms_tables[], show_tables[], slots_tables[], reclaim_tables[],
	top_tables[], config_tables[], tenants_tables[], reservation_tables[], nodes_tables[];

enum ctl_status ctl_overview(struct ctl *ctl, char **arguments);
enum ctl_status ctl_probe(struct ctl *ctl, char **arguments);
enum ctl_status ctl_vms(struct ctl *ctl, char **arguments);
enum ctl_status ctl_show(struct ctl *ctl, char **arguments);
enum ctl_status ctl_slots(struct ctl *ctl, char **arguments);
enum ctl_status ctl_dump(struct ctl *ctl, char **arguments);
enum ctl_status ctl_prealloc(struct ctl *ctl, char **arguments);
enum ctl_status ctl_reclaim(struct ctl *ctl, char **arguments);
enum ctl_status ctl_top(struct ctl *ctl, char **arguments);
enum ctl_status ctl_events(struct ctl *ctl, char **arguments);
enum ctl_status ctl_metrics(struct ctl *ctl, char **arguments);
enum ctl_status ctl_config(struct ctl *ctl, char **arguments);
enum ctl_status ctl_tenants(struct ctl *ctl, char **arguments);
enum ctl_status ctl_export(struct ctl *ctl, char **arguments);
enum ctl_status ctl_profile(struct ctl *ctl, char **arguments);
enum ctl_status ctl_nodes(struct ctl *ctl, char **arguments);
enum ctl_status ctl_reload(struct ctl *ctl, char **arguments);
enum ctl_status ctl_domains(struct ctl *ctl, char **arguments);
enum ctl_status ctl_reserve(struct ctl *ctl, char **arguments);
enum ctl_status ctl_unreserve(struct ctl *ctl, char **arguments);
enum ctl_status ctl_reservations(struct ctl *ctl, char **arguments);
enum ctl_status ctl_call(struct ctl *ctl, char **arguments);
enum ctl_status ctl_ping(struct ctl *ctl, char **arguments);
enum ctl_status ctl_help(struct ctl *ctl, char **arguments);
