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
	{"vms", "", 0, 0,
		VERB_BYTES | VERB_COUNT | VERB_INTERVAL | VERB_SORT | VERB_OUTPUT |
			VERB_NO_HEADINGS | VERB_NAME | VERB_TENANT | VERB_STATE | VERB_UNIT |
			VERB_PID | VERB_WATCH,
		ctl_vms, "VMs: all, or those that fit what is said of them.", vms_tables},
	{"show", "VM", 1, 1, VERB_BYTES, ctl_show,
		"A VM, by id, name, or uuid or how that begins, with its memories, slots and "
		"pending calls.",
		show_tables},
	{"slots", "VM", 1, 1, VERB_BYTES, ctl_slots, "A VM's memslots.", slots_tables},
	{"prealloc", "VM", 1, 1,
		VERB_BYTES | VERB_MEMORY | VERB_NODE | VERB_THREADS | VERB_POPULATE, ctl_prealloc,
		"Allocates all of a VM's memory before its guest touches it. Ctrl-C stops it.",
		NULL},
	{"reclaim", "VM", 1, 1, VERB_BYTES | VERB_MEMORY | VERB_FORCE, ctl_reclaim,
		"Gives memory back that no guest can see: what no slot shows, and stale halves. "
		"With --force it gives back all of it, and the guest loses what it has there.",
		reclaim_tables},
	{"dump", "VM FILE", 2, 2, VERB_BYTES, ctl_dump,
		"Writes a VM's memory to a new file, as an ELF core for gdb: a segment for each "
		"memslot, at its guest address. What is private, or the VMM's own, is left out and "
		"named. Stopped by Ctrl-C, the same command goes on later. A guest that runs "
		"meanwhile changes what is dumped.",
		NULL},
	{"top", "", 0, 0, VERB_BYTES | VERB_COUNT | VERB_INTERVAL | VERB_SORT, ctl_top,
		"A live view of all VMs; keys: h help, q quits. Enter opens a VM as a map of its "
		"guest's addresses.",
		top_tables},
	{"events", "", 0, 0, VERB_BYTES | VERB_COUNT, ctl_events,
		"What happens, a line for each event, until Ctrl-C.", NULL},
	{"metrics", "", 0, 0, VERB_VMS, ctl_metrics,
		"Counters, since gmemd was started, gauges, and how long requests have taken by "
		"method, as OpenMetrics text.",
		NULL},
	{"domains", "[FILE]", 0, 1, VERB_BYTES, ctl_domains,
		"libvirt's domains as gmemd-libvirt has read them, and what of their VMs differs; "
		"FILE is where it has written that.",
		NULL},
	{"config", "", 0, 0, 0, ctl_config,
		"gmemd's settings, and where each comes from: a file and line, or its default.",
		config_tables},
	{"tenants", "", 0, 0, VERB_BYTES, ctl_tenants,
		"What each tenant may have, and has; tenant.set changes it.", tenants_tables},
	{"nodes", "", 0, 0, VERB_BYTES | VERB_OUTPUT | VERB_NO_HEADINGS, ctl_nodes,
		"The host's NUMA nodes, and what of each is committed, promised and resident.",
		nodes_tables},
	{"profile", "[SECONDS]", 0, 1, 0, ctl_profile,
		"Where the time of gmemd's requests goes, by stage and by method, from now on for "
		"10 "
		"seconds, or so many, or until Ctrl-C.",
		NULL},
	{"export", "FORM", 1, 1, VERB_FILE, ctl_export,
		"What a fleet's scheduler is told of this host: nova-provider for OpenStack's "
		"placement, nfd for Kubernetes' Node Feature Discovery.",
		NULL},
	{"reload", "", 0, 0, 0, ctl_reload,
		"Has gmemd read its configuration anew; where anything is wrong in it, nothing "
		"changes.",
		NULL},
	{"reserve", "NAME SIZE", 2, 2, VERB_TTL | VERB_TENANT | VERB_NODE, ctl_reserve,
		"Reserves memory for a VM that is to be opened, and prints the id that it is to be "
		"opened with.",
		NULL},
	{"unreserve", "RESERVATION", 1, 1, 0, ctl_unreserve,
		"Gives back what is reserved, by name or id, and what no VM was opened with.",
		NULL},
	{"reservations", "", 0, 0, VERB_BYTES, ctl_reservations,
		"What is reserved for VMs that are to be opened.", reservation_tables},
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
	{VERB_NODE, "--node=N", "of the VM's memories, those of this NUMA node; reserve of it"},
	{VERB_THREADS, "--threads=N", "allocate by so many threads at most"},
	{VERB_POPULATE, "--populate", "zero the pages, too, for the guest to find them ready"},
	{VERB_FORCE, "--force", "what the guest may be using, too"},
	{VERB_INTERVAL, "--interval=SECONDS", "between two views"},
	{VERB_TTL, "--ttl=TIME", "until it lapses: 90s, 10m (the default), 2h, up to 30d"},
	{VERB_SORT, "--sort=WHAT",
		"by a column; of top: committed, resident, private, rate, name, age or tenant"},
	{VERB_OUTPUT, "--output=COLUMN,...",
		"these columns (-o, too); with + before the first, besides the usual ones"},
	{VERB_FILE, "--output=FILE",
		"there, whole or not at all, instead of printing it (-o, too)"},
	{VERB_NO_HEADINGS, "--noheadings", "no line with the columns' titles"},
	{VERB_NAME, "--name=PATTERN", "VMs of such a name; * and ? stand for any characters"},
	{VERB_TENANT, "--tenant=TENANT", "of that tenant; which VMs: as a pattern"},
	{VERB_STATE, "--state=PATTERN", "VMs in such a state"},
	{VERB_UNIT, "--unit=PATTERN", "VMs whose process is of such a unit"},
	{VERB_PID, "--pid=PID", "the VM of this process"},
	{VERB_WATCH, "--watch", "again and again, until Ctrl-C"},
	{VERB_VMS, "--vms", "each VM as well, by its id, uuid and name"},
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
