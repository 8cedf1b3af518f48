/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views of all VMs. See view.h.
 */
#include "client/ctl/top/view.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl/columns.h"
#include "client/ctl/request.h"
#include "protocol/json.h"

const struct order orders[SORTS + 1] = {
	[SORT_COMMITTED] = {'c', "committed", {"committed", "", TEXT_BYTES}},
	[SORT_RESIDENT] = {'r', "resident", {"resident", "", TEXT_BYTES}},
	[SORT_PRIVATE] = {'p', "private", {"private", "", TEXT_BYTES}},
	[SORT_RATE] = {'d', "rate", {"rate_bytes", "", TEXT_BYTES}},
	[SORT_NAME] = {'n', "name", {"name", "", TEXT_PLAIN}},
	[SORT_AGE] = {'a', "age", {"opened", "", TEXT_AGE}},
	[SORT_TENANT] = {'t', "tenant", {"tenant", "", TEXT_PLAIN}},
};

uint64_t monotonic_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static uint64_t member(const struct json_object *vm, const char *name)
{
	uint64_t number = 0;

	json_get_uint(vm, name, &number);
	return number;
}

/* Both lists are in the order in which VMs were opened: *at is where the last one was found. */
static const struct json_object *find_before(
	const struct json_object *before, const struct json_object *vm, size_t *at)
{
	const char *id = json_get_string(vm, "vm");

	for (size_t i = *at; i < json_length(before); i++) {
		if (strcmp(json_get_string(json_at(before, i), "vm"), id) == 0) {
			*at = i + 1;
			return json_at(before, i);
		}
	}
	return NULL;
}

/* "+1.5G". */
static void add_rate(const struct ctl *ctl, struct json_object *vm, double change)
{
	uint64_t size = (uint64_t)(change < 0 ? -change : change);
	const char *sign = change < 0 ? "-" : change > 0 ? "+" : "";
	char text[40], number[32];

	text_of_size(size, number, sizeof number);
	if (ctl->bytes)
		snprintf(number, sizeof number, "%" PRIu64, size);
	snprintf(text, sizeof text, "%s%s", sign, number);
	json_add_string(vm, "rate", text);
	json_add_uint(vm, "rate_bytes", size);
}

/* Adds to each VM how its resident memory has changed since the view before. */
static void add_rates(const struct ctl *ctl, const struct view *before, const struct view *view)
{
	struct json_object *vms = json_get(view->list, "vms");
	struct json_object *old_vms = json_get(before->list, "vms");
	double seconds = (double)(view->time - before->time) / 1e6;
	size_t at = 0;

	for (size_t i = 0; i < json_length(vms); i++) {
		struct json_object *vm = json_at(vms, i);
		const struct json_object *old = find_before(old_vms, vm, &at);
		double now = (double)member(vm, "resident");

		add_rate(ctl, vm, old ? (now - (double)member(old, "resident")) / seconds : 0);
	}
}

enum ctl_status view_renew(struct ctl *ctl, struct view *view)
{
	struct view next = {.time = monotonic_us()};
	enum ctl_status status = request_vms(ctl, &next.list);

	if (status != CTL_DONE)
		return status;
	add_rates(ctl, view, &next);
	json_unref(view->list);
	*view = next;
	return CTL_DONE;
}

void view_clear(struct view *view)
{
	view->list = json_unref(view->list);
}

/* By any of what a VM is called, whatever the case; a part is enough. */
static bool fits(const char *filter, const struct json_object *vm)
{
	static const char *const members[] = {"name", "vm", "uuid", "tenant", "unit"};
	char pattern[160];

	if (filter[0] == '\0')
		return true;
	snprintf(pattern, sizeof pattern, "*%s*", filter);
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (fnmatch(pattern, json_get_string(vm, members[i]), FNM_CASEFOLD) == 0)
			return true;
	}
	return false;
}

static int compare_vms(const void *left, const void *right, void *context)
{
	const struct ctl *ctl = context;
	int order = column_compare(&orders[ctl->sort].column, *(struct json_object *const *)left,
		*(struct json_object *const *)right);

	return ctl->reverse ? -order : order;
}

struct json_object **view_rows(
	const struct ctl *ctl, const struct view *view, const char *filter, size_t *ret_count)
{
	const struct json_object *vms = json_get(view->list, "vms");
	struct json_object **rows = calloc(json_length(vms) + 1, sizeof *rows);
	size_t count = 0;

	for (size_t i = 0; rows && i < json_length(vms); i++) {
		if (fits(filter, json_at(vms, i)))
			rows[count++] = json_at(vms, i);
	}
	if (rows)
		qsort_r(rows, count, sizeof *rows, compare_vms, (void *)(uintptr_t)ctl);
	*ret_count = count;
	return rows;
}

void view_summary(const struct view *view, char *ret, size_t size)
{
	const struct json_object *vms = json_get(view->list, "vms");
	char committed_text[32], resident_text[32], count[TEXT_SIZE];
	uint64_t committed = 0, resident = 0;

	for (size_t i = 0; i < json_length(vms); i++) {
		committed += member(json_at(vms, i), "committed");
		resident += member(json_at(vms, i), "resident");
	}
	text_of_size(committed, committed_text, sizeof committed_text);
	text_of_size(resident, resident_text, sizeof resident_text);
	text_of_count(json_length(vms), "VM", "VMs", count);
	snprintf(ret, size, "%s, committed %s, resident %s", count, committed_text, resident_text);
}
