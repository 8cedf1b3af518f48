/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lapses. See lapse.h.
 */
#include "daemon/release/lapse.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/timer_file.h"
#include "daemon/report/reservation_report.h"
#include "daemon/reservation/reservation_ledger.h"

/* Before others have a turn. */
#define LAPSES_AT_ONCE 16
/* Where there was no memory to note one. */
#define RETRY_US 1000000

struct lapses {
	struct gmemd *gmemd;
	struct timer_file *timer;
	uint64_t at; /* reservations_now() at which it is due; 0: it isn't set */
};

static bool end_next(struct gmemd *gmemd, int *ret)
{
	struct reservation *first = reservations_first_to_end(&gmemd->reservations);
	struct reservation lapsed;

	if (!first || first->end > reservations_now())
		return false;
	lapsed = *first;
	*ret = reservations_end(&gmemd->reservations, first);
	if (*ret < 0)
		return false;
	lapsed.tenant = NULL; /* may be gone with it */
	report_reservation(&gmemd->audit, &gmemd->events,
		&(struct reservation_report){.turn = RESERVATION_LAPSED, .reservation = &lapsed});
	return true;
}

static void lapses_due(void *context)
{
	struct lapses *lapses = context;
	struct gmemd *gmemd = lapses->gmemd;
	unsigned ended = 0;
	int r = 0;

	while (ended < LAPSES_AT_ONCE && end_next(gmemd, &r))
		ended++;
	STEP("reservation: lapsed");
	reservation_ledger_commit(&gmemd->reservations);
	STEP("reservation: its lapse committed");
	lapses->at = 0;
	if (r < 0)
		timer_file_set(lapses->timer, RETRY_US);
	else
		lapses_schedule(lapses);
}

int lapses_new(struct gmemd *gmemd, struct lapses **ret)
{
	struct lapses *lapses = calloc(1, sizeof *lapses);
	int r;

	if (!lapses)
		return -ENOMEM;
	lapses->gmemd = gmemd;
	r = timer_file_new(gmemd->base, lapses_due, lapses, &lapses->timer);
	if (r < 0)
		lapses_free(lapses);
	else
		*ret = lapses;
	return r;
}

struct lapses *lapses_free(struct lapses *lapses)
{
	if (!lapses)
		return NULL;
	timer_file_free(lapses->timer);
	free(lapses);
	return NULL;
}

/* One that is due too early, for the first was used meanwhile, finds nothing to do. */
void lapses_schedule(struct lapses *lapses)
{
	const struct reservation *first = reservations_first_to_end(&lapses->gmemd->reservations);
	uint64_t now = reservations_now();

	if (!first || (lapses->at > 0 && lapses->at <= first->end))
		return;
	lapses->at = first->end;
	timer_file_set(lapses->timer, first->end > now ? (first->end - now) * 1000 : 1);
}
