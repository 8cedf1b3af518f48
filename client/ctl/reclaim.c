/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl reclaim: gives back what no guest can see.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/stale.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

/* Of one request: they fit a packet. */
#define RANGES_AT_ONCE 1000

static const struct column columns[] = {
	{"memory", "MEMORY", TEXT_NUMBER},
	{"name", "NAME", TEXT_PLAIN},
	{"reclaimed", "RECLAIMED", TEXT_BYTES},
	{"resident", "RESIDENT", TEXT_BYTES},
	{.member = NULL},
};

const struct table reclaim_tables[] = {
	{"Memories", columns, METHOD_VM_GET, "memories", "reclaimed",
		"Bytes of pages given back to the host."},
	{.columns = NULL},
};

/* The next ranges of the set, from *at on, which is at that place; *at is NULL after the last. */
static struct json_object *some_ranges(
	uint64_t memory, const struct range **at, struct range_place *place)
{
	struct json_object *params = json_new_object();
	struct json_object *list;

	json_add_uint(params, "memory", memory);
	list = json_add_array(params, "ranges");
	for (unsigned i = 0; *at && i < RANGES_AT_ONCE; i++, *at = ranges_next(place)) {
		struct json_object *range = json_append_object(list);

		json_add_uint(range, "offset", (*at)->start);
		json_add_uint(range, "size", (*at)->end - (*at)->start);
	}
	return params;
}

static enum ctl_status reclaim_ranges(
	struct ctl *ctl, uint64_t memory, const struct ranges *ranges, struct json_object *row)
{
	struct range_place place;
	const struct range *at = ranges_from(ranges, 0, &place);
	uint64_t reclaimed = 0, resident = 0, bytes;
	enum ctl_status status = CTL_DONE;
	struct json_object *result;

	while (status == CTL_DONE && at) {
		status = request(ctl, "memory.reclaim", some_ranges(memory, &at, &place), &result);
		if (status != CTL_DONE)
			break;
		bytes = 0;
		json_get_uint(result, "reclaimed", &bytes);
		json_get_uint(result, "resident", &resident);
		reclaimed += bytes;
		json_unref(result);
	}
	json_add_uint(row, "reclaimed", reclaimed);
	if (ranges_count(ranges) > 0)
		json_add_uint(row, "resident", resident);
	return status;
}

static enum ctl_status reclaim_memory(struct ctl *ctl, const struct json_object *vm,
	const struct json_object *memory, struct json_object *rows)
{
	struct json_object *row = json_append_object(rows);
	struct ranges ranges = {.leaves = NULL};
	uint64_t id = 0, size = 0;
	enum ctl_status status;
	int r;

	json_get_uint(memory, "memory", &id);
	json_get_uint(memory, "size", &size);
	json_add(row, "memory", json_ref(json_get(memory, "memory")));
	json_add(row, "name", json_ref(json_get(memory, "name")));
	json_add(row, "resident", json_ref(json_get(memory, "resident")));
	r = ctl->force ? ranges_add(&ranges, 0, size) : stale_find(vm, id, size, &ranges);
	status = r < 0 ? report_system(ctl, "what can be given back", r)
		       : reclaim_ranges(ctl, id, &ranges, row);
	ranges_clear(&ranges);
	return status;
}

static enum ctl_status print_rows(const struct ctl *ctl, struct json_object *rows)
{
	uint64_t sum = 0, bytes;
	char text[32];

	if (ctl->json) {
		print_value(ctl, rows);
		return CTL_DONE;
	}
	for (size_t i = 0; i < json_length(rows); i++) {
		bytes = 0;
		json_get_uint(json_at(rows, i), "reclaimed", &bytes);
		sum += bytes;
	}
	text_of_size(sum, text, sizeof text);
	print_table(ctl, columns, rows);
	printf("%s given back\n", text);
	return CTL_DONE;
}

enum ctl_status ctl_reclaim(struct ctl *ctl, char **arguments)
{
	struct json_object *vm, *memories, *rows;
	enum ctl_status status = request_vm(ctl, arguments[0], &vm);

	if (status != CTL_DONE)
		return status;
	memories = json_get(vm, "memories");
	rows = json_new_array();
	for (size_t i = 0; status == CTL_DONE && i < json_length(memories); i++) {
		struct json_object *memory = json_at(memories, i);

		if (request_is_memory(ctl, memory) &&
			strcmp(json_get_string(memory, "state"), "ready") == 0)
			status = reclaim_memory(ctl, vm, memory, rows);
	}
	if (status == CTL_DONE && json_length(rows) == 0) {
		fputs("gmemctl: the VM has no such memory, or it is not ready\n", stderr);
		status = CTL_NOT_FOUND;
	} else if (status == CTL_DONE) {
		status = print_rows(ctl, rows);
	}
	json_unref(rows);
	json_unref(vm);
	return status;
}
