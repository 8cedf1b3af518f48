/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl top: a live view of VMs by what they have of the host's memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/top/screen.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

static const struct column columns[] = {
	{"name", "NAME", TEXT_PLAIN},
	{"tenant", "TENANT", TEXT_PLAIN},
	{"pid", "PID", TEXT_NUMBER},
	{"state", "STATE", TEXT_PLAIN},
	{"committed", "COMMITTED", TEXT_BYTES},
	{"resident", "RESIDENT", TEXT_BYTES},
	{"private", "PRIVATE", TEXT_BYTES},
	{"rate", "RATE/S", TEXT_PLAIN},
	{.member = NULL},
};

const struct table top_tables[] = {
	{"VMs", columns, METHOD_VM_LIST, "vms", "rate",
		"By how much RESIDENT has grown or shrunk in a second since the last view."},
	{.columns = NULL},
};

struct view {
	struct json_object *list; /* vm.list's result; NULL: none yet */
	uint64_t time;            /* microseconds */
};

static uint64_t monotonic_us(void)
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

/* Adds to each VM how its resident memory has changed since the view before: "+1.5G". */
static void add_rates(const struct ctl *ctl, const struct view *before, const struct view *view)
{
	struct json_object *vms = json_get(view->list, "vms");
	struct json_object *old_vms = json_get(before->list, "vms");
	double seconds = (double)(view->time - before->time) / 1e6;
	size_t at = 0;

	for (size_t i = 0; i < json_length(vms); i++) {
		struct json_object *vm = json_at(vms, i);
		const struct json_object *old = find_before(old_vms, vm, &at);
		double change =
			!old ? 0
			     : ((double)member(vm, "resident") - (double)member(old, "resident")) /
					seconds;
		uint64_t size = (uint64_t)(change < 0 ? -change : change);
		char text[40], number[32];

		text_of_size(size, number, sizeof number);
		if (ctl->bytes)
			snprintf(number, sizeof number, "%" PRIu64, size);
		snprintf(text, sizeof text, "%s%s",
			change < 0   ? "-"
			: change > 0 ? "+"
				     : "",
			number);
		json_add_string(vm, "rate", text);
		json_add_uint(vm, "rate_bytes", size);
	}
}

static const char *const sort_members[SORTS] = {
	[SORT_COMMITTED] = "committed",
	[SORT_RESIDENT] = "resident",
	[SORT_PRIVATE] = "private",
	[SORT_RATE] = "rate_bytes",
};

static const char *sort_member;

static int compare_vms(const void *left, const void *right)
{
	uint64_t a = member(*(struct json_object *const *)left, sort_member);
	uint64_t b = member(*(struct json_object *const *)right, sort_member);

	return a > b ? -1 : a < b;
}

/* The largest first, as many as there is room for. The caller owns it. */
static struct json_object *sorted(
	const struct ctl *ctl, const struct json_object *vms, size_t room, size_t *ret_left)
{
	size_t count = json_length(vms), shown = count;
	struct json_object **array = calloc(count + 1, sizeof *array);
	struct json_object *rows = json_new_array();

	for (size_t i = 0; array && i < count; i++)
		array[i] = json_at(vms, i);
	sort_member = sort_members[ctl->sort];
	if (array)
		qsort(array, count, sizeof *array, compare_vms);
	if (count > room)
		shown = room > 0 ? room - 1 : 0; /* the last line says how many are not */
	for (size_t i = 0; array && i < shown; i++)
		json_append(rows, json_ref(array[i]));
	free(array);
	*ret_left = count - shown;
	return rows;
}

static void print_header(const struct ctl *ctl, const struct json_object *vms)
{
	uint64_t committed = 0, resident = 0;
	char committed_text[32], resident_text[32], count[TEXT_SIZE];

	for (size_t i = 0; i < json_length(vms); i++) {
		committed += member(json_at(vms, i), "committed");
		resident += member(json_at(vms, i), "resident");
	}
	text_of_size(committed, committed_text, sizeof committed_text);
	text_of_size(resident, resident_text, sizeof resident_text);
	text_of_count(json_length(vms), "VM", "VMs", count);
	printf("%s, committed %s, resident %s, by %s\n\n", count, committed_text, resident_text,
		ctl->sort == SORT_RATE ? "rate" : sort_members[ctl->sort]);
}

static enum ctl_status print_view(const struct ctl *ctl, const struct view *view, size_t rows)
{
	struct json_object *vms = json_get(view->list, "vms"), *shown;
	enum ctl_status status;
	size_t left;

	if (ctl->json) {
		print_value(ctl, view->list);
		return CTL_DONE;
	}
	print_header(ctl, vms);
	shown = sorted(ctl, vms, rows, &left);
	status = print_table(ctl, columns, shown);
	if (left > 0)
		printf("... %zu more\n", left);
	json_unref(shown);
	return status;
}

/* Takes the next view in the place of *view, with rates against it. */
static enum ctl_status look_again(struct ctl *ctl, struct view *view)
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

static enum ctl_status print_views(struct ctl *ctl)
{
	struct view view = {.list = NULL};
	enum ctl_status status = CTL_DONE;
	uint64_t count = ctl->count > 0 ? ctl->count : 1;

	for (uint64_t i = 0; status == CTL_DONE && i < count; i++) {
		if (i > 0)
			usleep((useconds_t)ctl->milliseconds * 1000);
		status = look_again(ctl, &view);
		if (status == CTL_DONE)
			status = print_view(ctl, &view, SIZE_MAX);
		fflush(stdout);
	}
	if (status == CTL_DONE)
		report_own_view(ctl);
	json_unref(view.list);
	return status;
}

/* False where it is no key of ours, or the one that ends it. */
static bool take_key(struct ctl *ctl, int key)
{
	static const char keys[SORTS + 1] = "crpd";
	const char *at = strchr(keys, key);

	if (at && *at)
		ctl->sort = (enum ctl_sort)(at - keys);
	return key != 'q';
}

/* Until it is time for the next view. -1, or the status to end with. */
static int wait_for_next(struct ctl *ctl, struct screen *screen, uint64_t until)
{
	int value = 0;

	for (;;) {
		uint64_t time = monotonic_us();
		int left = time < until ? (int)((until - time) / 1000) + 1 : 0;

		switch (screen_wait(screen, left, &value)) {
		case SCREEN_TIMEOUT:
		case SCREEN_RESIZED:
			return -1;
		case SCREEN_GONE:
			return 128 + SIGHUP;
		case SCREEN_KEY:
			if (!take_key(ctl, value))
				return CTL_DONE;
			return -1;
		}
	}
}

static int show_views(struct ctl *ctl, struct screen *screen, struct view *view)
{
	size_t rows, columns_count;
	uint64_t shown = 0;
	int status = -1;

	while (status < 0) {
		uint64_t until = view->time + ctl->milliseconds * 1000;

		if (!view->list || monotonic_us() >= until) {
			status = (int)look_again(ctl, view);
			if (status != CTL_DONE)
				return status;
			shown++;
		}
		screen_size(screen, &rows, &columns_count);
		fputs("\033[H\033[2J", stdout);
		print_view(ctl, view, rows > 5 ? rows - 5 : 0);
		fflush(stdout);
		if (ctl->count > 0 && shown >= ctl->count)
			return CTL_DONE;
		status = wait_for_next(ctl, screen, view->time + ctl->milliseconds * 1000);
	}
	return status;
}

static bool parse_sort(const char *text, enum ctl_sort *ret)
{
	static const char *const names[SORTS] = {"committed", "resident", "private", "rate"};

	for (unsigned sort = 0; sort < SORTS; sort++) {
		if (strcmp(text, names[sort]) == 0) {
			*ret = sort;
			return true;
		}
	}
	return false;
}

enum ctl_status ctl_top(struct ctl *ctl, char **arguments)
{
	struct view view = {.list = NULL};
	struct screen *screen;
	int status;

	(void)arguments;
	if (ctl->sort_by && !parse_sort(ctl->sort_by, &ctl->sort))
		return report_usage(ctl, "--sort must be committed, resident, private or rate");
	if (ctl->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		return print_views(ctl);
	screen = screen_open();
	if (!screen)
		return report_system(ctl, "the terminal", -errno);
	status = show_views(ctl, screen, &view);
	screen_close(screen);
	/* What was said of it has gone with the view. */
	if (status == CTL_NO_DAEMON || status == CTL_REFUSED)
		fputs("gmemctl: gmemd does not answer any more\n", stderr);
	json_unref(view.list);
	return (enum ctl_status)status;
}
