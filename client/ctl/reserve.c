/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl reserve, unreserve and reservations: memory for VMs that are to be opened.
 */
#include <stdio.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "kernel/base/size.h"
#include "protocol/json.h"

#define LEFT "left" /* a member of our own */

static const struct column columns[] = {
	{"name", "NAME", TEXT_PLAIN},
	{"size", "SIZE", TEXT_BYTES},
	{"tenant", "TENANT", TEXT_PLAIN},
	{"machine", "MACHINE", TEXT_PLAIN},
	{"node", "NODE", TEXT_NUMBER},
	{LEFT, "LAPSES IN", TEXT_PLAIN},
	{"reservation", "RESERVATION", TEXT_PLAIN},
	{.member = NULL},
};

const struct table reservation_tables[] = {
	{"Reservations", columns, METHOD_RESERVATION_LIST, "reservations", LEFT,
		"How long it is until it lapses."},
	{.columns = NULL},
};

static enum ctl_status print_reserved(const struct ctl *ctl, struct json_object *take_result)
{
	if (ctl->json)
		print_value(ctl, take_result);
	else
		puts(json_get_string(take_result, "reservation"));
	json_unref(take_result);
	return CTL_DONE;
}

enum ctl_status ctl_reserve(struct ctl *ctl, char **arguments)
{
	struct json_object *params, *result;
	enum ctl_status status;
	uint64_t size;

	if (size_parse(arguments[1], &size) < 0 || size == 0)
		return report_usage(ctl, "SIZE must be a size such as 512M or 16G");
	params = json_new_object();
	json_add_string(params, "name", arguments[0]);
	json_add_uint(params, "size", size);
	json_add_uint(params, "ttl_ms", ctl->ttl);
	if (ctl->filter.tenant)
		json_add_string(params, "tenant", ctl->filter.tenant);
	if (ctl->node != CTL_ANY)
		json_add_uint(params, "node", ctl->node);
	status = request(ctl, "reservation.create", params, &result);
	return status == CTL_DONE ? print_reserved(ctl, result) : status;
}

enum ctl_status ctl_unreserve(struct ctl *ctl, char **arguments)
{
	struct json_object *params = json_new_object(), *result;
	enum ctl_status status;

	json_add_string(params, "reservation", arguments[0]);
	status = request(ctl, "reservation.cancel", params, &result);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		print_value(ctl, result);
	json_unref(result);
	return CTL_DONE;
}

static void add_left(struct json_object *reservation)
{
	char left[TEXT_SIZE];
	uint64_t remaining = 0;

	json_get_uint(reservation, "remaining_ms", &remaining);
	text_of_duration(remaining / 1000, left);
	json_add_string(reservation, LEFT, left);
}

enum ctl_status ctl_reservations(struct ctl *ctl, char **arguments)
{
	struct json_object *whole, *reservations;
	enum ctl_status status;

	(void)arguments;
	status = request_whole(ctl, "reservation.list", &whole);
	if (status != CTL_DONE)
		return status;
	reservations = json_get(whole, "reservations");
	for (size_t i = 0; !ctl->json && i < json_length(reservations); i++)
		add_left(json_at(reservations, i));
	if (ctl->json)
		print_value(ctl, whole);
	else
		status = print_table(ctl, columns, reservations);
	json_unref(whole);
	return status;
}
