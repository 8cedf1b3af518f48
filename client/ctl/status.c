/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl status and ping: gmemd as a whole.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

static const char *const states[] = {"opening", "running", "lingering", "released"};
#define STATES (sizeof states / sizeof *states)

struct totals {
	uint64_t vms[STATES];
	uint64_t committed, resident, closed; /* bytes; closed: resident in closed memories */
};

static void add_up(const struct json_object *vms, struct totals *totals)
{
	for (size_t i = 0; i < json_length(vms); i++) {
		const struct json_object *vm = json_at(vms, i);
		uint64_t committed = 0, resident = 0, closed = 0;

		for (size_t state = 0; state < STATES; state++)
			totals->vms[state] +=
				strcmp(json_get_string(vm, "state"), states[state]) == 0;
		json_get_uint(vm, "committed", &committed);
		json_get_uint(vm, "resident", &resident);
		json_get_uint(vm, "closed_resident", &closed);
		totals->committed += committed;
		totals->resident += resident;
		totals->closed += closed;
	}
}

static void print_json_status(
	const struct ctl *ctl, struct json_object *host, const struct totals *totals)
{
	struct json_object *value = json_new_object(), *vms;

	json_add(value, "host", json_ref(host));
	vms = json_add_object(value, "vms");
	for (size_t state = 0; state < STATES; state++)
		json_add_uint(vms, states[state], totals->vms[state]);
	json_add_uint(value, "committed", totals->committed);
	json_add(value, "commit_limit",
		json_ref(json_get(json_get(host, "limits"), "commit_bytes")));
	if (json_has(host, "commitment")) {
		const struct json_object *commitment = json_get(host, "commitment");

		json_add(value, "promised", json_ref(json_get(commitment, "promised")));
		json_add(value, "reserved", json_ref(json_get(commitment, "reserved")));
		json_add(value, "available", json_ref(json_get(commitment, "available")));
	}
	json_add_uint(value, "resident", totals->resident);
	json_add_uint(value, "closed_resident", totals->closed);
	print_value(ctl, value);
	json_unref(value);
}

static uint64_t number(const struct json_object *object, const char *name)
{
	uint64_t value = 0;

	json_get_uint(object, name, &value);
	return value;
}

/* One of before it had states says nothing of them. */
static void print_keeper(const struct json_object *keeper)
{
	const char *state = json_has(keeper, "state") ? json_get_string(keeper, "state") : "held";
	char uptime[TEXT_SIZE], files[TEXT_SIZE];

	if (strcmp(state, "gone") == 0) {
		puts("keeper     gone: what gmemd holds doesn't outlive it");
		return;
	}
	text_of_duration(number(keeper, "uptime"), uptime);
	text_of_count(number(keeper, "held"), "file", "files", files);
	printf("keeper     %s, up %s, held %s\n", json_get_string(keeper, "version"), uptime,
		files);
	if (strcmp(state, "stalled") == 0)
		puts("           stalled: it doesn't answer; what must outlive gmemd may be "
		     "refused");
}

static void print_restarts(const struct json_object *host)
{
	const struct json_object *keeper = json_get(host, "keeper");
	const struct json_object *recovered = json_get(host, "recovered");
	char uptime[TEXT_SIZE], vms[TEXT_SIZE], memories[TEXT_SIZE], connections[TEXT_SIZE],
		files[TEXT_SIZE];

	text_of_duration(number(host, "uptime"), uptime);
	text_of_count(number(recovered, "vms"), "VM", "VMs", vms);
	text_of_count(number(recovered, "memories"), "memory", "memories", memories);
	text_of_count(number(recovered, "connections"), "connection", "connections", connections);
	text_of_count(number(recovered, "dropped"), "file", "files", files);
	printf("up         %s; at its start took over %s with %s, %s, released %" PRIu64
	       ", dropped %s\n",
		uptime, vms, memories, connections, number(recovered, "released"), files);
	if (!keeper) {
		puts("keeper     none: VMs don't outlive gmemd");
		return;
	}
	print_keeper(keeper);
}

static void print_host(const struct ctl *ctl, const struct json_object *host)
{
	const struct json_object *kernel = json_get(host, "kernel");
	const struct json_object *gate = json_get(host, "gate");
	char flags[TEXT_SIZE], protocol[TEXT_SIZE];

	text_of_value(ctl, TEXT_NUMBER, json_get(host, "protocol"), protocol, sizeof protocol);
	text_of_value(ctl, TEXT_NAMES, json_get(kernel, "guest_memfd_flags"), flags, sizeof flags);
	printf("gmemd      %s, protocol %s, backend %s\n", json_get_string(host, "version"),
		protocol, json_get_string(host, "backend"));
	printf("kernel     %s, guest_memfd flags %s\n", json_get_string(kernel, "release"), flags);
	if (json_get_bool(gate, "available"))
		puts("gate       available");
	else
		printf("gate       not available: %s\n", json_get_string(gate, "reason"));
}

/* A VMM's socket does not tell what is promised to others. */
static void print_commitment(const struct ctl *ctl, const struct json_object *commitment)
{
	char promised[TEXT_SIZE], reserved[TEXT_SIZE], available[TEXT_SIZE];

	if (!commitment)
		return;
	text_of_value(ctl, TEXT_BYTES, json_get(commitment, "promised"), promised, sizeof promised);
	text_of_value(
		ctl, TEXT_BYTES, json_get(commitment, "available"), available, sizeof available);
	text_of_value(ctl, TEXT_BYTES, json_get(commitment, "reserved"), reserved, sizeof reserved);
	printf("promised   %s", promised);
	if (number(commitment, "reserved") > 0)
		printf(", %s of it reserved", reserved);
	printf("; %s would still fit\n", available);
}

static void print_totals(const struct ctl *ctl, const struct json_object *host,
	const struct json_object *vms, const struct totals *totals)
{
	char limit[TEXT_SIZE], committed[TEXT_SIZE], resident[TEXT_SIZE], closed[TEXT_SIZE];
	struct json_object *numbers = json_new_object();

	json_add_uint(numbers, "committed", totals->committed);
	json_add_uint(numbers, "resident", totals->resident);
	json_add_uint(numbers, "closed", totals->closed);
	text_of_value(ctl, TEXT_BYTES, json_get(numbers, "committed"), committed, TEXT_SIZE);
	text_of_value(ctl, TEXT_BYTES, json_get(numbers, "resident"), resident, TEXT_SIZE);
	text_of_value(ctl, TEXT_BYTES, json_get(numbers, "closed"), closed, TEXT_SIZE);
	text_of_value(ctl, TEXT_BYTES, json_get(json_get(host, "limits"), "commit_bytes"), limit,
		sizeof limit);
	json_unref(numbers);
	printf("VMs        %zu", json_length(vms));
	for (size_t state = 0; state < STATES; state++)
		printf("%s %" PRIu64 " %s", state == 0 ? ":" : ",", totals->vms[state],
			states[state]);
	printf("\ncommitted  %s of %s\n", committed, limit);
	print_commitment(ctl, json_get(host, "commitment"));
	printf("resident   %s\n", resident);
	if (totals->closed > 0)
		printf("closed     %s in closed memories, whose files somebody still has; "
		       "charged\n",
			closed);
}

static void print_ask(const struct ctl *ctl, const struct json_object *ask)
{
	char asked[TEXT_SIZE], given[TEXT_SIZE];

	text_of_value(ctl, TEXT_BYTES, json_get(ask, "asked"), asked, sizeof asked);
	text_of_value(ctl, TEXT_BYTES, json_get(ask, "given"), given, sizeof given);
	printf("           %s has given %s of %s%s\n", json_get_string(ask, "vm"), given, asked,
		json_get_bool(ask, "overdue") ? ", overdue" : "");
}

/* A VMM's socket tells the level alone. */
static void print_pressure(const struct ctl *ctl, const struct json_object *pressure)
{
	const struct json_object *asks = json_get(pressure, "asks");
	char available[TEXT_SIZE], floor[TEXT_SIZE];
	uint64_t n_asked = 0;

	printf("pressure   %s", json_get_string(pressure, "level"));
	if (json_has(pressure, "available")) {
		text_of_value(ctl, TEXT_BYTES, json_get(pressure, "available"), available,
			sizeof available);
		text_of_value(ctl, TEXT_BYTES, json_get(pressure, "floor"), floor, sizeof floor);
		printf(", %s available, floor %s", available, floor);
	}
	putchar('\n');
	for (size_t i = 0; i < json_length(asks); i++)
		print_ask(ctl, json_at(asks, i));
	if (json_get_uint(pressure, "vms_asked", &n_asked) && n_asked > json_length(asks))
		printf("           and %" PRIu64 " more\n", n_asked - json_length(asks));
}

enum ctl_status ctl_overview(struct ctl *ctl, char **arguments)
{
	struct totals totals = {.committed = 0};
	struct json_object *host = NULL, *list = NULL;
	enum ctl_status status;

	(void)arguments;
	status = request(ctl, "host.describe", NULL, &host);
	if (status == CTL_DONE)
		status = request_vms(ctl, &list);
	if (status == CTL_DONE) {
		add_up(json_get(list, "vms"), &totals);
		if (ctl->json) {
			print_json_status(ctl, host, &totals);
		} else {
			print_host(ctl, host);
			print_restarts(host);
			print_totals(ctl, host, json_get(list, "vms"), &totals);
			print_pressure(ctl, json_get(host, "pressure"));
		}
	}
	if (status == CTL_DONE)
		report_own_view(ctl);
	json_unref(list);
	json_unref(host);
	return status;
}

static double monotonic_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

enum ctl_status ctl_ping(struct ctl *ctl, char **arguments)
{
	double start = monotonic_seconds();
	struct json_object *result;
	enum ctl_status status;

	(void)arguments;
	status = request(ctl, "ping", NULL, &result);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		print_value(ctl, result);
	else
		printf("gmemd answered after %.0f us\n", (monotonic_seconds() - start) * 1e6);
	json_unref(result);
	return CTL_DONE;
}
