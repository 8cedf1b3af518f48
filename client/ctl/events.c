/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl events: what happens, as it happens.
 *
 * Every line is written out before the next event is waited for, so that Ctrl-C may end the program
 * at any time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "client/gmem.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/process_start.h"
#include "protocol/json.h"

#define SILENCE_MS 2000

static void end_following(int signal)
{
	(void)signal;
	_exit(CTL_DONE);
}

static enum text_kind detail_kind(const char *name)
{
	static const char *const bytes[] = {
		"size", "memory_size", "resident", "ask", "asked", "given", "available", "floor"};

	for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
		if (strcmp(name, bytes[i]) == 0)
			return TEXT_BYTES;
	}
	return strcmp(name, "guest_phys_addr") == 0 ? TEXT_HEX : TEXT_PLAIN;
}

/* What every line begins with has been printed already. A string with spaces is quoted. */
static bool print_detail(const char *name, struct json_object *value, void *context)
{
	static const char *const begun[] = {"seq", "time", "kind", "vm"};
	char text[TEXT_SIZE];

	for (size_t i = 0; i < sizeof begun / sizeof *begun; i++) {
		if (strcmp(name, begun[i]) == 0)
			return true;
	}
	text_of_value(context, detail_kind(name), value, text, sizeof text);
	printf(" %s=%s", name, strpbrk(text, " \"\\") ? json_print(value, NULL) : text);
	return true;
}

static void print_event(struct ctl *ctl, struct json_object *event)
{
	uint64_t microseconds = 0;
	char time[TEXT_SIZE];

	if (ctl->json) {
		print_value(ctl, event);
		return;
	}
	json_get_uint(event, "time", &microseconds);
	text_of_time(microseconds, time, sizeof time);
	printf("%s %s", time, json_get_string(event, "kind"));
	if (json_has(event, "vm"))
		printf(" %s", json_get_string(event, "vm"));
	json_each(event, print_detail, ctl);
	putchar('\n');
}

/* *expected: the sequence that comes next where nothing is lost. -ETIMEDOUT where none comes. */
static int next_event(struct ctl *ctl, uint64_t *expected)
{
	cleanup_free char *text = NULL;
	struct json_object *event;
	uint64_t sequence;
	int r;

	r = gmem_next_event(ctl->gmem, SILENCE_MS, &text);
	if (r < 0)
		return r;
	event = text_read(ctl, text, strlen(text));
	if (!event)
		return -EPROTO;
	if (json_get_uint(event, "seq", &sequence)) {
		if (sequence > *expected)
			report_gap(ctl, sequence - *expected);
		*expected = sequence + 1;
	}
	print_event(ctl, event);
	json_unref(event);
	return fflush(stdout) == 0 ? 0 : -errno;
}

/* Without events it can't be seen whether there is a gmemd to send them. */
static enum ctl_status ask_for_sign(struct ctl *ctl)
{
	struct json_object *result;
	enum ctl_status status = request(ctl, "ping", NULL, &result);

	if (status == CTL_DONE)
		json_unref(result);
	return status;
}

static enum ctl_status print_events(struct ctl *ctl)
{
	uint64_t expected = 1, printed = 0;
	enum ctl_status status = CTL_DONE;
	int r;

	while (status == CTL_DONE && (ctl->count == 0 || printed < ctl->count)) {
		r = next_event(ctl, &expected);
		if (r == 0)
			printed++;
		else if (r == -ETIMEDOUT)
			status = ask_for_sign(ctl);
		else
			status = report_call(ctl, r);
	}
	return status;
}

enum ctl_status ctl_events(struct ctl *ctl, char **arguments)
{
	struct json_object *result;
	enum ctl_status status;

	(void)arguments;
	if (process_may_handle(SIGINT))
		signal(SIGINT, end_following);
	signal(SIGTERM, end_following);
	status = request(ctl, "event.subscribe", NULL, &result);
	if (status != CTL_DONE)
		return status;
	json_unref(result);
	return print_events(ctl);
}
