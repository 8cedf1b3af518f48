/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the whole daemon shares. It is set up and down by daemon/start/start.h.
 */
#pragma once

#include <event2/event.h>
#include <sys/types.h>

#include "daemon/base/stage.h"
#include "daemon/budget/capacity.h"
#include "daemon/config/config.h"
#include "daemon/override/overrides.h"
#include "daemon/report/audit.h"
#include "daemon/report/events.h"
#include "daemon/report/request_times.h"
#include "daemon/reservation/reservation.h"
#include "daemon/vm/registry.h"

struct call_reports;
struct config_faults;
struct creations;
struct request;
struct in_flight;
struct inherited_fds;
struct json_object;
struct lapses;
struct listeners;
struct peer_ledger;
struct pressure_watch;
struct quiet_peers;
struct recounting;
struct recovery_rest;
struct screening;
struct scheduler;
struct takings;

TAILQ_HEAD(preallocating_list, preallocating);
TAILQ_HEAD(preallocating_waits, preallocating_wait);

/* What was taken over from a predecessor. */
struct recovered {
	unsigned vms;
	unsigned memories;
	unsigned peers;
	unsigned released; /* VMs whose process had ended */
	unsigned dropped;  /* files that belonged to nothing */
};

struct command_line {
	int argc;
	char **argv;
};

struct gmemd {
	struct config config;
	int (*const *handlers)(struct request *request); /* by enum method_number */
	/* What VMMs have reported by now is settled: see daemon/release/call_reports.h. */
	void (*settle_for)(const struct request *request);
	/* Why it can't serve with its configuration; NULL: it can. Then it takes over and watches
	 * what a predecessor has left, and refuses all requests. */
	const struct config_faults *faults;
	struct command_line command_line;
	int (*reload)(struct gmemd *gmemd); /* see daemon/start/reload.h */
	/* As the files are by now: for what holds from the next start on. It has nothing of its own
	 * to clear. */
	struct config configured;
	struct config_faults *refusal; /* of the last reload; NULL: it was done */
	struct event *status_changed;  /* active: the service manager is to be told */
	/* What this host lacks for gmemd to serve; "": nothing. The same then, but not for long. */
	char lack[128];
	struct host_offer host;
	struct event_base *base;
	struct scheduler *scheduler;
	struct page_worker *pages;
	struct pressure_watch *pressure;
	struct recounting *recounting;
	struct preallocating_list preallocating;
	struct preallocating_waits preallocating_waits;
	struct owners *owners;
	struct owner *self;          /* of what nobody has asked for */
	struct in_flight *in_flight; /* files, to all peers */
	struct takings *takings;     /* of files of peers' processes */
	struct capacity capacity;
	struct reservations reservations;
	struct lapses *lapses; /* of reservations */
	struct call_reports *call_reports;
	struct registry registry;
	struct overrides overrides;
	uint64_t started; /* CLOCK_MONOTONIC, seconds */
	struct recovered recovered;
	struct recovery_rest *recovery_rest; /* NULL: nothing is left of it */
	struct fdstore *fdstore;             /* NULL: nothing outlives gmemd */
	struct inherited_fds *inherited;     /* while it takes over */
	struct peer_ledger *peer_ledger;     /* NULL: connections don't outlive gmemd */
	struct listeners *listeners;
	struct quiet_peers *quiet_peers; /* that a predecessor had; NULL: none */
	struct screening *screening;
	struct json_object *description; /* rpc.discover's answer; NULL: nobody has asked */
	struct events events;
	struct audit audit;
	struct request_times request_times;
	struct stages stages;        /* of requests */
	dev_t kvm_device;            /* /dev/kvm's, to know it again in a VMM */
	struct creations *creations; /* with KVM */
};
