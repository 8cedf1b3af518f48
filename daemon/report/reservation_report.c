/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling what becomes of reservations. See reservation_report.h.
 */
#include "daemon/report/reservation_report.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	enum act act;
	enum event_kind event;
	const char *what;
} turns[] = {
	[RESERVATION_MADE] = {ACT_RESERVATION_MADE, EVENT_RESERVATION_MADE, "made"},
	[RESERVATION_USED] = {ACT_RESERVATION_USED, EVENT_RESERVATION_USED, "used"},
	[RESERVATION_LAPSED] = {ACT_RESERVATION_LAPSED, EVENT_RESERVATION_LAPSED, "lapsed"},
	[RESERVATION_CANCELLED] = {ACT_RESERVATION_CANCELLED, EVENT_RESERVATION_CANCELLED,
		"cancelled"},
};

static void audit_reservation(struct audit *audit, const struct reservation_report *report)
{
	const struct reservation *reservation = report->reservation;
	struct audit_entry entry = {.act = turns[report->turn].act,
		.vm = report->vm,
		.process = report->by,
		.also = {{"GMEMD_RESERVATION", reservation->name}}};
	char size[24];

	snprintf(size, sizeof size, "%" PRIu64, reservation->budget.limit);
	entry.also[1] = (struct log_field){"GMEMD_SIZE", size};
	if (report->turn == RESERVATION_MADE && reservation->tenant)
		entry.also[2] = (struct log_field){"GMEMD_FOR", reservation->tenant->name};
	audit_write(audit, &entry, "reservation \"%s\" of %s bytes: %s", reservation->name, size,
		turns[report->turn].what);
}

void report_reservation(
	struct audit *audit, struct events *events, const struct reservation_report *report)
{
	audit_reservation(audit, report);
	events_reservation(events, report->reservation, report->vm, turns[report->turn].event);
}
