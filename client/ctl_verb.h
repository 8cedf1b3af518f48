/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl's verbs: one table that says of each what it is called with and what it does. Dispatch
 * and help are made from it.
 */
#pragma once

#include <stddef.h>

#include "client/ctl_program.h"

/* Options that not every verb takes. */
enum verb_options {
	VERB_BYTES = 1 << 0,
	VERB_COUNT = 1 << 1,
};

struct verb {
	const char *name;
	const char *arguments; /* as help shows them; optional ones in brackets */
	int arguments_min, arguments_max;
	unsigned options;
	/* arguments: ends with NULL. */
	enum ctl_status (*run)(struct ctl *ctl, char **arguments);
	const char *summary;
};

/* Ends with a verb without a name. */
extern const struct verb verbs[];

/* NULL where there is none. */
const struct verb *verb_by_name(const char *name);
/* All names, with a space before each. Truncates to size. */
void verb_names(char *ret, size_t size);

enum ctl_status ctl_overview(struct ctl *ctl, char **arguments);
enum ctl_status ctl_probe(struct ctl *ctl, char **arguments);
enum ctl_status ctl_vms(struct ctl *ctl, char **arguments);
enum ctl_status ctl_show(struct ctl *ctl, char **arguments);
enum ctl_status ctl_slots(struct ctl *ctl, char **arguments);
enum ctl_status ctl_events(struct ctl *ctl, char **arguments);
enum ctl_status ctl_call(struct ctl *ctl, char **arguments);
enum ctl_status ctl_ping(struct ctl *ctl, char **arguments);
enum ctl_status ctl_help(struct ctl *ctl, char **arguments);
