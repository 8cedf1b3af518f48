/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl top: a live view of VMs by what they have of the host's memory.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/report.h"
#include "client/ctl/table.h"
#include "client/ctl/top/frame.h"
#include "client/ctl/top/help.h"
#include "client/ctl/top/list.h"
#include "client/ctl/top/map.h"
#include "client/ctl/top/screen.h"
#include "client/ctl/top/view.h"
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

struct top {
	struct ctl *ctl;
	struct screen *screen;
	struct view view;
	struct list list;
	struct map map; /* where one is open, it is shown */
	bool help;
};

/* Where there is no terminal */

static struct json_object *rows_of(const struct ctl *ctl, const struct view *view)
{
	struct json_object *list = json_new_array(), **rows;
	size_t count;

	rows = view_rows(ctl, view, "", &count);
	for (size_t i = 0; rows && i < count; i++)
		json_append(list, json_ref(rows[i]));
	free(rows);
	return list;
}

static enum ctl_status print_view(const struct ctl *ctl, const struct view *view)
{
	struct json_object *rows;
	enum ctl_status status;
	char summary[TEXT_SIZE];

	if (ctl->json) {
		print_value(ctl, view->list);
		return CTL_DONE;
	}
	view_summary(view, summary, sizeof summary);
	printf("%s, by %s\n\n", summary, orders[ctl->sort].name);
	rows = rows_of(ctl, view);
	status = print_table(ctl, columns, rows);
	json_unref(rows);
	return status;
}

static enum ctl_status print_views(struct ctl *ctl)
{
	struct view view = {.list = NULL};
	enum ctl_status status = CTL_DONE;
	uint64_t count = ctl->count > 0 ? ctl->count : 1;

	for (uint64_t i = 0; status == CTL_DONE && i < count; i++) {
		if (i > 0)
			usleep((useconds_t)ctl->milliseconds * 1000);
		status = view_renew(ctl, &view);
		if (status == CTL_DONE)
			status = print_view(ctl, &view);
		fflush(stdout);
	}
	if (status == CTL_DONE)
		report_own_view(ctl);
	view_clear(&view);
	return status;
}

/* On a terminal */

/* A VM that is gone is shown no more. */
static enum ctl_status renew(struct top *top)
{
	enum ctl_status status = view_renew(top->ctl, &top->view);

	if (status == CTL_DONE && top->map.id[0])
		status = map_renew(top->ctl, &top->map);
	if (status == CTL_DONE && top->map.id[0] && !top->map.vm)
		map_close(&top->map);
	return status;
}

static enum ctl_status draw(struct top *top)
{
	struct frame frame;
	size_t rows, width;
	int r;

	screen_size(top->screen, &rows, &width);
	r = frame_begin(&frame, rows, width);
	if (r < 0)
		return report_system(top->ctl, "showing it", r);
	if (top->help)
		top_help_draw(&frame);
	else if (top->map.id[0])
		map_draw(top->ctl, &top->map, &frame);
	else
		list_draw(top->ctl, &top->view, &top->list, &frame);
	frame_end(&frame);
	return CTL_DONE;
}

/* -1: it goes on; else the status to end with. */
static int open_map(struct top *top)
{
	enum ctl_status status;

	if (!top->list.selected[0])
		return -1;
	map_open(&top->map, top->list.selected);
	status = map_renew(top->ctl, &top->map);
	if (!top->map.vm)
		map_close(&top->map);
	return status == CTL_DONE ? -1 : (int)status;
}

static void take_order(struct ctl *ctl, int key)
{
	for (unsigned sort = 0; sort < SORTS; sort++) {
		if (orders[sort].key == key)
			ctl->sort = sort;
	}
}

/* -1: it goes on; else the status to end with. */
static int take_key(struct top *top, int key)
{
	if (top->help) {
		top->help = false;
		return key == 'q' ? CTL_DONE : -1;
	}
	if (top->map.id[0] ? map_key(&top->map, key)
			   : list_key(top->ctl, &top->view, &top->list, key))
		return -1;
	if (key == 'q')
		return CTL_DONE;
	if (key == 'h' || key == '?')
		top->help = true;
	else if (key == 'b')
		top->ctl->bytes = !top->ctl->bytes;
	else if (key == 'R')
		top->ctl->reverse = !top->ctl->reverse;
	else if (key == KEY_ENTER && !top->map.id[0])
		return open_map(top);
	else
		take_order(top->ctl, key);
	return -1;
}

/* Until it is time for the next view, or there is something else to show. -1, or the status to end
 * with. */
static int wait_for_next(struct top *top)
{
	uint64_t time = monotonic_us(), until = top->view.time + top->ctl->milliseconds * 1000;
	int left = time < until ? (int)((until - time) / 1000) + 1 : 0, key = 0;

	switch (screen_wait(top->screen, left, &key)) {
	case SCREEN_TIMEOUT:
	case SCREEN_RESIZED:
		return -1;
	case SCREEN_GONE:
		return 128 + SIGHUP;
	case SCREEN_KEY:
		break;
	}
	return take_key(top, key);
}

static bool is_due(const struct top *top)
{
	return !top->view.list || monotonic_us() >= top->view.time + top->ctl->milliseconds * 1000;
}

static int show(struct top *top)
{
	enum ctl_status drawn;
	uint64_t shown = 0;
	int status = -1;

	while (status < 0) {
		if (is_due(top)) {
			status = (int)renew(top);
			if (status != CTL_DONE)
				return status;
			shown++;
		}
		drawn = draw(top);
		if (drawn != CTL_DONE || (top->ctl->count > 0 && shown >= top->ctl->count))
			return (int)drawn;
		status = wait_for_next(top);
	}
	return status;
}

static bool parse_sort(const char *text, enum ctl_sort *ret)
{
	for (unsigned sort = 0; sort < SORTS; sort++) {
		if (strcmp(text, orders[sort].name) == 0) {
			*ret = sort;
			return true;
		}
	}
	return false;
}

enum ctl_status ctl_top(struct ctl *ctl, char **arguments)
{
	struct top top = {.ctl = ctl};
	int status;

	(void)arguments;
	if (ctl->sort_by && !parse_sort(ctl->sort_by, &ctl->sort))
		return report_usage(ctl,
			"--sort must be committed, resident, private, rate, name, age or tenant");
	if (ctl->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		return print_views(ctl);
	top.screen = screen_open();
	if (!top.screen)
		return report_system(ctl, "the terminal", -errno);
	status = show(&top);
	screen_close(top.screen);
	/* What was said of it has gone with the view. */
	if (status == CTL_NO_DAEMON || status == CTL_REFUSED)
		fputs("gmemctl: gmemd does not answer any more\n", stderr);
	map_close(&top.map);
	view_clear(&top.view);
	return (enum ctl_status)status;
}
