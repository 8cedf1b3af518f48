/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_admission: what it costs gmemd to find out whether a VM can have what it is promised, and
 * to promise it: anew, and by one of 1,000 reservations, with 1,000 tenants. No ledger is written.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/reservation/reservation.h"
#include "tests/bench/bench.h"

#define MANY   1000
#define ROUNDS 41
#define SIZE   (UINT64_C(1) << 30)

struct host {
	struct config config;
	struct capacity capacity;
	struct tenants tenants;
	struct reservations reservations;
	struct tenant *of[MANY];
	char ids[MANY][RESERVATION_ID_SIZE];
};

static int reserve(struct host *host, unsigned number)
{
	char name[16];
	const struct reservation_create_parameters told = {
		.name = name, .size = SIZE, .node = FIELD_UNSET, .ttl_ms = RESERVATION_MS_MAX};
	struct reservation *reservation;
	const struct budget *refused;
	int r;

	snprintf(name, sizeof name, "vm-%u", number);
	r = reservations_make(&host->reservations, &told, host->of[number], &reservation, &refused);
	if (r == 0)
		snprintf(host->ids[number], sizeof host->ids[number], "%s", reservation->id);
	return r;
}

static int set_up(struct host *host)
{
	const struct capacity_request request = {.total = 2 * MANY * SIZE};
	int r = capacity_init(&host->capacity, &request, NULL, 0);

	host->config = config_defaults;
	tenants_init(&host->tenants, &host->config, &host->capacity);
	reservations_init(&host->reservations, &host->capacity, &host->tenants);
	for (unsigned i = 0; r == 0 && i < MANY; i++)
		r = tenants_get(&host->tenants, "", i, &host->of[i]);
	return r;
}

/* Of a VM of each tenant. */
static struct budget budget_of_vm(struct host *host, unsigned number)
{
	return (struct budget){.scope = "vm", .limit = SIZE, .within = &host->of[number]->budget};
}

static double promise_anew(struct host *host)
{
	double begun = bench_now();

	for (unsigned i = 0; i < MANY; i++) {
		struct budget vm = budget_of_vm(host, i);

		if (budget_promise(&vm))
			abort();
		budget_end_promise(&vm);
	}
	return (bench_now() - begun) / MANY;
}

static void use(struct host *host, unsigned number)
{
	struct budget vm = budget_of_vm(host, number), of_node = {.limit = SIZE};
	struct reservation *reservation =
		reservations_find_for(&host->reservations, host->ids[number], host->of[number]);

	if (!reservation || budget_hand_over_refused(&reservation->budget, &vm) ||
		reservations_use(&host->reservations, reservation, &vm, &of_node) < 0)
		abort();
	budget_end_promise(&vm);
}

/* Each is made again once it is used, so that there are as many all the time. */
static double use_reservation(struct host *host)
{
	double sum = 0;

	for (unsigned i = 0; i < MANY; i++) {
		double begun = bench_now();

		use(host, i);
		sum += bench_now() - begun;
		if (reserve(host, i) < 0)
			abort();
	}
	return sum / MANY;
}

int main(void)
{
	double anew[ROUNDS], reserved[ROUNDS];
	struct host *host = calloc(1, sizeof *host);
	int r = host ? set_up(host) : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < MANY; i++)
		r = reserve(host, i);
	if (r < 0)
		return bench_failed("reserving", r) < 0;
	bench_pin();
	for (unsigned round = 0; round < ROUNDS; round++) {
		anew[round] = promise_anew(host);
		reserved[round] = use_reservation(host);
	}
	printf("admission, with %u tenants and %u reservations (at most 5 microseconds): promised "
	       "anew %.2f us, by a reservation %.2f us\n",
		MANY, MANY, bench_median(anew, ROUNDS) / 1000,
		bench_median(reserved, ROUNDS) / 1000);
	return 0;
}
