/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling what becomes of reservations: in the journal of acts, and to operators who have
 * subscribed. Neither the journal nor a VM is told a reservation's id, by which it can be used.
 */
#pragma once

#include "daemon/report/audit.h"
#include "daemon/report/events.h"

enum reservation_turn {
	RESERVATION_MADE,
	RESERVATION_USED,
	RESERVATION_LAPSED,
	RESERVATION_CANCELLED,
};

struct reservation_report {
	enum reservation_turn turn;
	const struct reservation *reservation;
	const struct vm *vm;      /* that was opened with it; NULL: none */
	const struct process *by; /* the operator's; NULL: nobody's */
};

void report_reservation(
	struct audit *audit, struct events *events, const struct reservation_report *report);
