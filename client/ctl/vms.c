/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl vms: VMs as a table, with the columns, of the VMs and in the order that are asked for.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client/ctl/columns.h"
#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

static const struct column all_columns[] = {
	{"vm", "ID", TEXT_PLAIN},
	{"name", "NAME", TEXT_PLAIN},
	{"uuid", "UUID", TEXT_PLAIN},
	{"tenant", "TENANT", TEXT_PLAIN},
	{"unit", "UNIT", TEXT_PLAIN},
	{"pid", "PID", TEXT_NUMBER},
	{"state", "STATE", TEXT_STATE},
	{"opened", "OPENED", TEXT_TIME},
	{"opened", "AGE", TEXT_AGE},
	{"gate", "GATE", TEXT_STATE},
	{"committed", "COMMITTED", TEXT_BYTES},
	{"promised", "PROMISED", TEXT_BYTES},
	{"resident", "RESIDENT", TEXT_BYTES},
	{"private", "PRIVATE", TEXT_BYTES},
	{"closed_resident", "CLOSED", TEXT_BYTES},
	{.member = NULL},
};

#define USUAL  "id,name,tenant,pid,state,age,gate,committed,promised,resident"
#define CLOSED "closed"

const struct table vms_tables[] = {
	{"VMs, with --output; without, " USUAL ", and closed where there is any", all_columns,
		METHOD_VM_LIST, "vms", NULL, NULL},
	{.columns = NULL},
};

static bool has_closed(const struct json_object *vms)
{
	uint64_t bytes = 0;

	for (size_t i = 0; bytes == 0 && i < json_length(vms); i++)
		json_get_uint(json_at(vms, i), "closed_resident", &bytes);
	return bytes > 0;
}

/* vms: those that are shown; NULL: to see whether what is asked for is there. */
static enum ctl_status choose_all(
	const struct ctl *ctl, const struct json_object *vms, struct columns_chosen *ret)
{
	bool closed = vms && has_closed(vms);
	const char *output = ctl->output;

	/* What is there by itself may be asked for, too. */
	if (closed && output && strcasecmp(output, "+" CLOSED) == 0)
		output = NULL;
	return columns_choose(ctl, all_columns, closed ? USUAL "," CLOSED : USUAL, output, ret);
}

static bool fits(const char *pattern, const struct json_object *vm, const char *member)
{
	return !pattern || fnmatch(pattern, json_get_string(vm, member), 0) == 0;
}

static bool is_wanted(const struct ctl_filter *filter, const struct json_object *vm)
{
	uint64_t pid = 0;

	json_get_uint(vm, "pid", &pid);
	return fits(filter->name, vm, "name") && fits(filter->tenant, vm, "tenant") &&
	       fits(filter->state, vm, "state") && fits(filter->unit, vm, "unit") &&
	       (filter->pid == CTL_ANY || filter->pid == pid);
}

static int compare_vms(const void *left, const void *right, void *column)
{
	return column_compare(
		column, *(struct json_object *const *)left, *(struct json_object *const *)right);
}

/* The caller owns it. */
static struct json_object *wanted_in_order(
	const struct ctl *ctl, const struct json_object *vms, const struct column *sort)
{
	struct json_object **array = calloc(json_length(vms) + 1, sizeof *array);
	struct json_object *rows = json_new_array();
	size_t count = 0;

	for (size_t i = 0; array && i < json_length(vms); i++) {
		if (is_wanted(&ctl->filter, json_at(vms, i)))
			array[count++] = json_at(vms, i);
	}
	if (array && sort)
		qsort_r(array, count, sizeof *array, compare_vms, (void *)(uintptr_t)sort);
	for (size_t i = 0; i < count; i++)
		json_append(rows, json_ref(array[i]));
	free(array);
	return rows;
}

static enum ctl_status print_vms(const struct ctl *ctl, struct json_object *list)
{
	struct columns_chosen chosen;
	struct json_object *rows, *value;
	enum ctl_status status = choose_all(ctl, json_get(list, "vms"), &chosen);

	if (status != CTL_DONE)
		return status;
	rows = wanted_in_order(ctl, json_get(list, "vms"), chosen.sort);
	if (!ctl->json) {
		status = print_table(ctl, chosen.columns, rows);
		json_unref(rows);
		return status;
	}
	value = json_new_object();
	json_add(value, "vms", rows);
	print_value(ctl, value);
	json_unref(value);
	return CTL_DONE;
}

static enum ctl_status print_once(struct ctl *ctl)
{
	struct json_object *list;
	enum ctl_status status = request_vms(ctl, &list);

	if (status != CTL_DONE)
		return status;
	if (ctl->watch && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	status = print_vms(ctl, list);
	json_unref(list);
	if (status == CTL_DONE)
		report_own_view(ctl);
	return status;
}

enum ctl_status ctl_vms(struct ctl *ctl, char **arguments)
{
	struct columns_chosen chosen;
	enum ctl_status status = choose_all(ctl, NULL, &chosen);

	(void)arguments;
	for (uint64_t shown = 1; status == CTL_DONE; shown++) {
		status = print_once(ctl);
		if (!ctl->watch || shown == ctl->count)
			break;
		if (fflush(stdout) != 0)
			break;
		usleep((useconds_t)ctl->milliseconds * 1000);
	}
	return status;
}
