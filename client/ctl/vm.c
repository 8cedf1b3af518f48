/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl show and slots: a VM and what it has.
 */
#include <stdio.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

#define CLOSED_MEMORIES "closed_memories" /* the member */

static const struct column vm_facts[] = {
	{"vm", "id", TEXT_PLAIN},
	{"name", "name", TEXT_PLAIN},
	{"uuid", "uuid", TEXT_PLAIN},
	{"tenant", "tenant", TEXT_PLAIN},
	{"unit", "unit", TEXT_PLAIN},
	{"pid", "pid", TEXT_NUMBER},
	{"state", "state", TEXT_PLAIN},
	{"opened", "opened", TEXT_TIME},
	{"opened", "age", TEXT_AGE},
	{"gate", "gate", TEXT_PLAIN},
	{"committed", "committed", TEXT_BYTES},
	{"promised", "promised", TEXT_BYTES},
	{"resident", "resident", TEXT_BYTES},
	{.member = NULL},
};

static const struct column closed_facts[] = {
	{"closed_resident", "closed", TEXT_BYTES}, {.member = NULL}};

static const struct column memory_columns[] = {
	{"memory", "ID", TEXT_NUMBER},
	{"name", "NAME", TEXT_PLAIN},
	{"backing", "BACKING", TEXT_PLAIN},
	{"flags", "FLAGS", TEXT_NAMES},
	{"page_size", "PAGES", TEXT_BYTES},
	{"node", "NODE", TEXT_NUMBER},
	{"state", "STATE", TEXT_PLAIN},
	{"size", "SIZE", TEXT_BYTES},
	{"resident", "RESIDENT", TEXT_BYTES},
	{.member = NULL},
};

static const struct column closed_memory_columns[] = {
	{"memory", "ID", TEXT_NUMBER},
	{"name", "NAME", TEXT_PLAIN},
	{"size", "SIZE", TEXT_BYTES},
	{"resident", "RESIDENT", TEXT_BYTES},
	{.member = NULL},
};

static const struct column grant_columns[] = {
	{"grant", "GRANT", TEXT_NUMBER},
	{"memory", "MEMORY", TEXT_NUMBER},
	{"uid", "UID", TEXT_NUMBER},
	{"pid", "PID", TEXT_NUMBER},
	{"once", "ONCE", TEXT_PLAIN},
	{.member = NULL},
};

static const struct column holder_columns[] = {
	{"memory", "MEMORY", TEXT_NUMBER},
	{"grant", "GRANT", TEXT_NUMBER},
	{"pid", "PID", TEXT_NUMBER},
	{"uid", "UID", TEXT_NUMBER},
	{"ended", "ENDED", TEXT_PLAIN},
	{"closed", "CLOSED", TEXT_PLAIN},
	{"resident", "RESIDENT", TEXT_BYTES},
	{.member = NULL},
};

static const struct column slot_columns[] = {
	{"slot", "SLOT", TEXT_NUMBER},
	{"guest_phys_addr", "GUEST_PHYS_ADDR", TEXT_HEX},
	{"memory_size", "SIZE", TEXT_BYTES},
	{"userspace_addr", "USERSPACE_ADDR", TEXT_HEX},
	{"memory", "MEMORY", TEXT_NUMBER},
	{"guest_memfd_offset", "OFFSET", TEXT_HEX},
	{"through", "THROUGH", TEXT_PLAIN},
	{"astray", "ASTRAY", TEXT_PLAIN},
	{"flags", "FLAGS", TEXT_NAMES},
	{"state", "STATE", TEXT_PLAIN},
	{.member = NULL},
};

static const struct column range_columns[] = {
	{"guest_phys_addr", "GUEST_PHYS_ADDR", TEXT_HEX},
	{"size", "SIZE", TEXT_BYTES},
	{.member = NULL},
};

static const struct column call_columns[] = {
	{"id", "ID", TEXT_NUMBER},
	{"request", "REQUEST", TEXT_HEX},
	{"address", "ADDRESS", TEXT_HEX},
	{"stride", "STRIDE", TEXT_NUMBER},
	{"count", "COUNT", TEXT_NUMBER},
	{.member = NULL},
};

const struct table show_tables[] = {
	{"Memories", memory_columns, METHOD_VM_GET, "memories", NULL, NULL},
	{"Slots", slot_columns, METHOD_VM_GET, "slots", NULL, NULL},
	{"Private ranges", range_columns, METHOD_VM_GET, "private_ranges", NULL, NULL},
	{"Pending calls", call_columns, METHOD_VM_GET, "calls", NULL, NULL},
	/* Where there are any. */
	{"Closed memories with pages", closed_memory_columns, METHOD_VM_GET, CLOSED_MEMORIES, NULL,
		NULL},
	{"Grants", grant_columns, METHOD_VM_GET, "grants", NULL, NULL},
	{"Processes that may hold a memory", holder_columns, METHOD_VM_GET, "holders", NULL, NULL},
	{.columns = NULL},
};

const struct table slots_tables[] = {
	{"Slots", slot_columns, METHOD_VM_GET, "slots", NULL, NULL},
	{.columns = NULL},
};

/* What a VM has closed and is charged for still. */
static bool has_closed(const struct json_object *vm)
{
	uint64_t bytes = 0;

	json_get_uint(vm, "closed_resident", &bytes);
	return bytes > 0;
}

static bool is_seldom(const struct table *table)
{
	static const char *const seldom[] = {CLOSED_MEMORIES, "grants", "holders"};

	for (size_t i = 0; i < sizeof seldom / sizeof *seldom; i++) {
		if (strcmp(table->array, seldom[i]) == 0)
			return true;
	}
	return false;
}

static enum ctl_status print_vm(const struct ctl *ctl, const struct json_object *vm)
{
	enum ctl_status status = CTL_DONE;

	print_facts(ctl, vm_facts, vm);
	if (has_closed(vm))
		print_facts(ctl, closed_facts, vm);
	for (const struct table *table = show_tables; status == CTL_DONE && table->columns;
		table++) {
		if (is_seldom(table) && json_length(json_get(vm, table->array)) == 0)
			continue;
		printf("\n%s:\n", table->title);
		status = print_table(ctl, table->columns, json_get(vm, table->array));
	}
	return status;
}

enum ctl_status ctl_show(struct ctl *ctl, char **arguments)
{
	struct json_object *vm;
	enum ctl_status status = request_vm(ctl, arguments[0], &vm);

	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		print_value(ctl, vm);
	else
		status = print_vm(ctl, vm);
	json_unref(vm);
	return status;
}

static void print_json_slots(const struct ctl *ctl, const struct json_object *vm)
{
	struct json_object *value = json_new_object();

	json_add(value, "vm", json_ref(json_get(vm, "vm")));
	json_add(value, "slots", json_ref(json_get(vm, "slots")));
	print_value(ctl, value);
	json_unref(value);
}

enum ctl_status ctl_slots(struct ctl *ctl, char **arguments)
{
	struct json_object *vm;
	enum ctl_status status = request_vm(ctl, arguments[0], &vm);

	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		print_json_slots(ctl, vm);
	else
		status = print_table(ctl, slot_columns, json_get(vm, "slots"));
	json_unref(vm);
	return status;
}
