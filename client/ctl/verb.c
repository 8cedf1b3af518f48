/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of gmemctl's verbs. See verb.h.
 */
#include "client/ctl/verb.h"

#include <stdio.h>
#include <string.h>

const struct verb verbs[] = {
	{"status", "", 0, 0, VERB_BYTES, ctl_overview,
		"gmemd, its kernel, how many VMs there are and how much memory they have.", NULL},
	{"probe", "", 0, 0, 0, ctl_probe,
		"What this host can and can't do, and what follows from that; needs no gmemd.",
		NULL},
	{"vms", "", 0, 0, VERB_BYTES, ctl_vms, "All VMs.", vms_tables},
	{"show", "VM", 1, 1, VERB_BYTES, ctl_show,
		"A VM, by id, name or uuid, with its memories, slots and pending calls.",
		show_tables},
	{"slots", "VM", 1, 1, VERB_BYTES, ctl_slots, "A VM's memslots.", slots_tables},
	{"prealloc", "VM", 1, 1, VERB_BYTES | VERB_MEMORY | VERB_NODE | VERB_THREADS, ctl_prealloc,
		"Allocates all of a VM's memory before its guest touches it. Ctrl-C stops it.",
		NULL},
	{"reclaim", "VM", 1, 1, VERB_BYTES | VERB_MEMORY | VERB_FORCE, ctl_reclaim,
		"Gives memory back that no guest can see: what no slot shows, and stale halves. "
		"With --force it gives back all of it, and the guest loses what it has there.",
		reclaim_tables},
	{"top", "", 0, 0, VERB_BYTES | VERB_COUNT | VERB_INTERVAL | VERB_SORT, ctl_top,
		"A live view of all VMs; keys: c, r, p, d sort by committed, resident, private, "
		"rate, q quits.",
		top_tables},
	{"events", "", 0, 0, VERB_BYTES | VERB_COUNT, ctl_events,
		"What happens, a line for each event, until Ctrl-C.", NULL},
	{"metrics", "", 0, 0, 0, ctl_metrics,
		"Counters, since gmemd was started, and gauges, as OpenMetrics text.", NULL},
	{"domains", "[FILE]", 0, 1, VERB_BYTES, ctl_domains,
		"libvirt's domains as gmemd-libvirt has read them, and what of their VMs differs; "
		"FILE is where it has written that.",
		NULL},
	{"config", "", 0, 0, 0, ctl_config,
		"gmemd's settings, and where each comes from: a file and line, or its default.",
		config_tables},
	{"tenants", "", 0, 0, VERB_BYTES, ctl_tenants,
		"What each tenant may have, and has; tenant.set changes it.", tenants_tables},
	{"reload", "", 0, 0, 0, ctl_reload,
		"Has gmemd read its configuration anew; where anything is wrong in it, nothing "
		"changes.",
		NULL},
	{"call", "METHOD [JSON]", 1, 2, 0, ctl_call,
		"Calls a method with parameters ({}) and prints its result.", NULL},
	{"ping", "", 0, 0, 0, ctl_ping, "Asks gmemd for an answer, and says how long it took.",
		NULL},
	{"help", "[VERB|METHOD]", 0, 1, 0, ctl_help,
		"Says this, or what a verb or a method of the protocol takes and gives.", NULL},
	{.name = NULL},
};

const struct verb_option verb_options[] = {
	{VERB_BYTES, "--bytes", "print sizes in bytes"},
	{VERB_COUNT, "--count=N", "end after N events, or views"},
	{VERB_MEMORY, "--memory=ID|NAME", "of the VM's memories, this one"},
	{VERB_NODE, "--node=N", "of the VM's memories, those of this NUMA node"},
	{VERB_THREADS, "--threads=N", "allocate by so many threads at most"},
	{VERB_FORCE, "--force", "what the guest may be using, too"},
	{VERB_INTERVAL, "--interval=SECONDS", "between two views"},
	{VERB_SORT, "--sort=WHAT", "by committed, resident, private or rate"},
	{.usage = NULL},
};

const struct verb *verb_by_name(const char *name)
{
	for (const struct verb *verb = verbs; verb->name; verb++) {
		if (strcmp(verb->name, name) == 0)
			return verb;
	}
	return NULL;
}

void verb_names(char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (const struct verb *verb = verbs; verb->name && used < size; verb++) {
		snprintf(ret + used, size - used, " %s", verb->name);
		used = strlen(ret);
	}
}
