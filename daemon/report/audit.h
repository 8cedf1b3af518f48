/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of acts (protocol/acts.h): an entry for each, with its MESSAGE_ID and with who and
 * what it is about in fields of their own; and how often there was each, for metrics.get.
 *
 * An entry is written before the act is answered: so where gmemd is killed between, the journal has
 * it twice rather than never. What users can make gmemd write is bounded (audit_bound.h); what was
 * left out is counted, and told.
 */
#pragma once

#include <event2/event.h>

#include "daemon/base/log.h"
#include "daemon/report/audit_bound.h"
#include "daemon/vm/vm.h"
#include "protocol/acts.h"

#define AUDIT_ALSO_MAX 5

struct audit {
	uint64_t counts[ACTS];
	struct audit_bound bound;
	struct event *telling; /* of what was left out; NULL: it is told when gmemd ends */
};

struct audit_entry {
	enum act act;
	const struct vm *vm;           /* NULL: none, or none that is known */
	const struct process *process; /* NULL: the VM's; it has a pid and a uid */
	const char *tenant;            /* the process's; NULL: the VM's, or the user's own */
	const struct process *by;      /* who has asked; NULL: the process itself, or nobody */
	struct log_field also[AUDIT_ALSO_MAX]; /* ends with one without a name, or is full */
};

/* -ENOMEM. */
int audit_watch(struct audit *audit, struct event_base *base);
/* The base is about to end. */
void audit_unwatch(struct audit *audit);

/* Whether the log may have one more line, which is no entry, about what this process has done. It
 * is bounded, and left out, as refusals are. */
bool audit_admits_line(struct audit *audit, const struct process *process);

__attribute__((format(printf, 3, 4))) void audit_write(
	struct audit *audit, const struct audit_entry *entry, const char *format, ...);

/* Of a VM, by its own process, with no other fields. */
#define audit_vm(audit, which, whose_vm, ...)                                                      \
	audit_write(audit, &(struct audit_entry){.act = (which), .vm = (whose_vm)}, __VA_ARGS__)
