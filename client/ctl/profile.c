/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl profile: where the time of gmemd's requests goes, by stage and by method.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/process_start.h"
#include "protocol/json.h"

#define SECONDS     10
#define SECONDS_MAX 86400

static const struct column stage_columns[] = {
	{"stage", "STAGE", TEXT_PLAIN},
	{"share", "SHARE", TEXT_NUMBER},
	{"time", "SECONDS", TEXT_NUMBER},
	{"request", "US/REQUEST", TEXT_NUMBER},
	{.member = NULL},
};

static const struct column method_columns[] = {
	{"method", "METHOD", TEXT_PLAIN},
	{"requests", "REQUESTS", TEXT_NUMBER},
	{"request", "US/REQUEST", TEXT_NUMBER},
	{"receive", "RECEIVE", TEXT_NUMBER},
	{"parse", "PARSE", TEXT_NUMBER},
	{"check", "CHECK", TEXT_NUMBER},
	{"act", "ACT", TEXT_NUMBER},
	{"record", "RECORD", TEXT_NUMBER},
	{"keep", "KEEP", TEXT_NUMBER},
	{"answer", "ANSWER", TEXT_NUMBER},
	{.member = NULL},
};

/* More than gmemd has. */
#define STAGES_SHOWN 16

/* Nanoseconds. */
struct sums {
	uint64_t elapsed, processor;
	uint64_t of_stage[STAGES_SHOWN], of_stages;
	uint64_t requests;
};

static uint64_t number_of(const struct json_object *object, const char *member)
{
	uint64_t number = 0;

	json_get_uint(object, member, &number);
	return number;
}

/* Of a method, or 0. */
static uint64_t time_of(const struct json_object *method, size_t stage)
{
	uint64_t ns = 0;

	json_uint(json_at(json_get(method, "times_ns"), stage), &ns);
	return ns;
}

static size_t count_stages(const struct json_object *profile)
{
	size_t count = json_length(json_get(profile, "stages"));

	return count < STAGES_SHOWN ? count : STAGES_SHOWN;
}

static const char *name_of(const struct json_object *profile, size_t stage)
{
	const char *name = json_string(json_at(json_get(profile, "stages"), stage));

	return name ? name : "";
}

static struct sums sums_of(const struct json_object *profile)
{
	const struct json_object *told = json_get(profile, "methods");
	struct sums sums = {.elapsed = number_of(profile, "elapsed_ns"),
		.processor = number_of(profile, "processor_ns")};

	for (size_t i = 0; i < json_length(told); i++) {
		sums.requests += number_of(json_at(told, i), "requests");
		for (size_t stage = 0; stage < count_stages(profile); stage++) {
			sums.of_stage[stage] += time_of(json_at(told, i), stage);
			sums.of_stages += time_of(json_at(told, i), stage);
		}
	}
	return sums;
}

/* Nothing where there was no request. */
static void add_microseconds(
	struct json_object *row, const char *member, uint64_t ns, uint64_t requests)
{
	char text[32];

	if (requests == 0)
		return;
	snprintf(text, sizeof text, "%.2f", (double)ns / 1000 / (double)requests);
	json_add_string(row, member, text);
}

static void add_stage_row(struct json_object *rows, const char *stage, uint64_t ns,
	const struct sums *sums, uint64_t whole)
{
	struct json_object *row = json_append_object(rows);
	char text[32];

	json_add_string(row, "stage", stage);
	snprintf(text, sizeof text, "%.1f%%", whole > 0 ? 100 * (double)ns / (double)whole : 0);
	json_add_string(row, "share", text);
	snprintf(text, sizeof text, "%.3f", (double)ns / 1e9);
	json_add_string(row, "time", text);
	add_microseconds(row, "request", ns, sums->requests);
}

/* What the loop has had a processor for beside the stages: to wait for events, to find whose turn
 * it is, to look after VMs. */
static enum ctl_status print_stages(
	const struct ctl *ctl, const struct json_object *profile, const struct sums *sums)
{
	uint64_t whole = sums->processor > sums->of_stages ? sums->processor : sums->of_stages;
	struct json_object *rows = json_new_array();
	enum ctl_status status;

	for (size_t stage = 0; stage < count_stages(profile); stage++)
		add_stage_row(rows, name_of(profile, stage), sums->of_stage[stage], sums, whole);
	add_stage_row(rows, "between", whole - sums->of_stages, sums, whole);
	status = print_table(ctl, stage_columns, rows);
	json_unref(rows);
	return status;
}

static void add_method_row(
	struct json_object *rows, const struct json_object *profile, const struct json_object *told)
{
	uint64_t requests = number_of(told, "requests"), sum = 0;
	struct json_object *row;

	if (requests == 0)
		return;
	row = json_append_object(rows);
	json_add(row, "method", json_ref(json_get(told, "method")));
	json_add_uint(row, "requests", requests);
	for (size_t stage = 0; stage < count_stages(profile); stage++) {
		add_microseconds(row, name_of(profile, stage), time_of(told, stage), requests);
		sum += time_of(told, stage);
	}
	add_microseconds(row, "request", sum, requests);
}

static enum ctl_status print_methods(const struct ctl *ctl, const struct json_object *profile)
{
	const struct json_object *told = json_get(profile, "methods");
	struct json_object *rows = json_new_array();
	enum ctl_status status;

	for (size_t i = 0; i < json_length(told); i++)
		add_method_row(rows, profile, json_at(told, i));
	puts("\nmicroseconds of a request:");
	status = print_table(ctl, method_columns, rows);
	json_unref(rows);
	return status;
}

static enum ctl_status print_profile(const struct ctl *ctl, struct json_object *profile)
{
	const struct sums sums = sums_of(profile);
	enum ctl_status status;

	if (ctl->json) {
		print_value(ctl, profile);
		return CTL_DONE;
	}
	printf("%.1f seconds, %" PRIu64 " requests; gmemd's loop had a processor for %.1f%%\n\n",
		(double)sums.elapsed / 1e9, sums.requests,
		sums.elapsed > 0 ? 100 * (double)sums.processor / (double)sums.elapsed : 0);
	status = print_stages(ctl, profile, &sums);
	return status == CTL_DONE ? print_methods(ctl, profile) : status;
}

/* Until then, or until the first signal; the next one ends the program. */
static int wait_for_end(uint64_t seconds)
{
	struct pollfd event = {.events = POLLIN};
	struct signalfd_siginfo info;
	sigset_t signals, before;

	sigemptyset(&signals);
	if (process_may_handle(SIGINT))
		sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	event.fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (event.fd < 0)
		return -errno;
	if (poll(&event, 1, (int)seconds * 1000) > 0 && read(event.fd, &info, sizeof info) < 0)
		return -errno;
	fd_close(event.fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}

static enum ctl_status request_profile(
	struct ctl *ctl, const char *action, struct json_object **ret_profile)
{
	struct json_object *params = json_new_object();

	json_add_string(params, "action", action);
	return request(ctl, "host.profile", params, ret_profile);
}

static bool read_seconds(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *ret >= 1 &&
	       *ret <= SECONDS_MAX;
}

enum ctl_status ctl_profile(struct ctl *ctl, char **arguments)
{
	struct json_object *profile;
	uint64_t seconds = SECONDS;
	enum ctl_status status;
	int r;

	if (arguments[0] && !read_seconds(arguments[0], &seconds))
		return report_usage(ctl, "SECONDS must be a number from 1 to %d", SECONDS_MAX);
	status = request_profile(ctl, "begin", &profile);
	if (status != CTL_DONE)
		return status;
	json_unref(profile);
	r = wait_for_end(seconds);
	if (r < 0)
		return report_system(ctl, "waiting", r);
	status = request_profile(ctl, "end", &profile);
	if (status != CTL_DONE)
		return status;
	status = print_profile(ctl, profile);
	json_unref(profile);
	return status;
}
