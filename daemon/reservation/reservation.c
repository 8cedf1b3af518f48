/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservations. See reservation.h.
 */
#include "daemon/reservation/reservation.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "daemon/base/numa_node.h"
#include "daemon/reservation/reservation_ledger.h"
#include "protocol/field_check.h"

static int compare_ids(struct reservation *a, struct reservation *b)
{
	return strcmp(a->id, b->id);
}

static int compare_names(struct reservation *a, struct reservation *b)
{
	return strcmp(a->name, b->name);
}

static int compare_numbers(struct reservation *a, struct reservation *b)
{
	return a->number < b->number ? -1 : a->number > b->number;
}

static int compare_ends(struct reservation *a, struct reservation *b)
{
	if (a->end != b->end)
		return a->end < b->end ? -1 : 1;
	return compare_numbers(a, b);
}

RB_GENERATE_LOCAL(reservation_id_tree, reservation, by_id, compare_ids)
RB_GENERATE_LOCAL(reservation_name_tree, reservation, by_name, compare_names)
RB_GENERATE_LOCAL(reservation_number_tree, reservation, by_number, compare_numbers)
RB_GENERATE_LOCAL(reservation_end_tree, reservation, by_end, compare_ends)

uint64_t reservations_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void reservations_init(
	struct reservations *reservations, struct capacity *capacity, struct tenants *tenants)
{
	*reservations = (struct reservations){.capacity = capacity, .tenants = tenants};
}

/* Finding */

struct reservation *reservations_by_id(struct reservations *reservations, const char *id)
{
	struct reservation key;

	if (strlen(id) >= sizeof key.id)
		return NULL;
	strcpy(key.id, id);
	return RB_FIND(reservation_id_tree, &reservations->by_id, &key);
}

struct reservation *reservations_by_name(struct reservations *reservations, const char *name)
{
	struct reservation key;

	if (strlen(name) >= sizeof key.name)
		return NULL;
	strcpy(key.name, name);
	return RB_FIND(reservation_name_tree, &reservations->by_name, &key);
}

struct reservation *reservations_find(struct reservations *reservations, const char *named)
{
	struct reservation *reservation = reservations_by_id(reservations, named);

	if (!reservation)
		reservation = reservations_by_name(reservations, named);
	return reservation && reservation->end > reservations_now() ? reservation : NULL;
}

struct reservation *reservations_of_machine(struct reservations *reservations, const char *uuid)
{
	char name[NAME_BYTES_MAX + 1];
	struct reservation *reservation;
	size_t length = 0;

	for (; uuid[length] && length < NAME_BYTES_MAX; length++)
		name[length] = (char)tolower((unsigned char)uuid[length]);
	name[length] = '\0';
	reservation = reservations_find(reservations, name);
	return reservation && reservation->machine[0] ? reservation : NULL;
}

/* A name can be guessed. */
struct reservation *reservations_find_for(
	struct reservations *reservations, const char *named, const struct tenant *tenant)
{
	struct reservation *reservation = reservations_find(reservations, named);
	bool may;

	if (!reservation || reservation->machine[0])
		return NULL;
	may = reservation->tenant ? reservation->tenant == tenant
				  : strcmp(reservation->id, named) == 0;
	return may ? reservation : NULL;
}

struct reservation *reservations_from(struct reservations *reservations, uint64_t number)
{
	struct reservation key = {.number = number};

	return RB_NFIND(reservation_number_tree, &reservations->by_number, &key);
}

struct reservation *reservations_first_to_end(struct reservations *reservations)
{
	return RB_MIN(reservation_end_tree, &reservations->by_end);
}

/* Beginning and ending */

static void enlist(struct reservations *reservations, struct reservation *reservation)
{
	RB_INSERT(reservation_id_tree, &reservations->by_id, reservation);
	RB_INSERT(reservation_name_tree, &reservations->by_name, reservation);
	RB_INSERT(reservation_number_tree, &reservations->by_number, reservation);
	RB_INSERT(reservation_end_tree, &reservations->by_end, reservation);
	if (reservation->number > reservations->last_number)
		reservations->last_number = reservation->number;
	reservations->count++;
	reservations->bytes += reservation->budget.limit;
}

static void unlist(struct reservations *reservations, struct reservation *reservation)
{
	RB_REMOVE(reservation_id_tree, &reservations->by_id, reservation);
	RB_REMOVE(reservation_name_tree, &reservations->by_name, reservation);
	RB_REMOVE(reservation_number_tree, &reservations->by_number, reservation);
	RB_REMOVE(reservation_end_tree, &reservations->by_end, reservation);
	reservations->count--;
	reservations->bytes -= reservation->budget.limit;
}

static void set_id(struct reservation *reservation)
{
	sd_id128_t id;

	sd_id128_randomize(&id);
	sd_id128_to_string(id, reservation->id);
}

static int find_node(struct reservations *reservations, const struct reservation *reservation,
	struct budget **ret)
{
	*ret = NULL;
	if (reservation->node == NODE_ANY)
		return 0;
	if (reservation->tenant)
		return tenant_of_node(reservation->tenant, (unsigned)reservation->node, ret);
	*ret = capacity_of_node(reservations->capacity, (unsigned)reservation->node);
	return 0;
}

/* -ENOMEM */
static int set_budgets(
	struct reservations *reservations, struct reservation *reservation, uint64_t size)
{
	struct tenant *tenant = reservation->tenant;
	struct budget *node;
	int r = find_node(reservations, reservation, &node);

	reservation->budget = (struct budget){.scope = "reservation",
		.limit = size,
		.within = tenant ? &tenant->budget : &reservations->capacity->host};
	reservation->of_node =
		(struct budget){.scope = "reservation", .limit = size, .within = node};
	return r;
}

static void end_promises(struct reservation *reservation)
{
	budget_end_promise(&reservation->budget);
	budget_end_promise(&reservation->of_node);
}

static const struct budget *promise(struct reservation *reservation)
{
	const struct budget *refused = budget_promise(&reservation->budget);

	if (!refused)
		refused = budget_promise(&reservation->of_node);
	if (refused)
		end_promises(reservation);
	return refused;
}

static struct reservation *reservation_free(struct reservation *reservation)
{
	end_promises(reservation);
	tenant_unref(reservation->tenant);
	free(reservation);
	return NULL;
}

static struct reservation *new_reservation(struct reservations *reservations,
	const struct reservation_create_parameters *told, struct tenant *tenant)
{
	struct reservation *reservation = calloc(1, sizeof *reservation);

	if (!reservation)
		return NULL;
	set_id(reservation);
	snprintf(reservation->name, sizeof reservation->name, "%s", told->name);
	if (told->machine)
		snprintf(reservation->machine, sizeof reservation->machine, "%s", told->machine);
	reservation->tenant = tenant ? tenant_ref(tenant) : NULL;
	reservation->node = told->node == FIELD_UNSET ? NODE_ANY : (int)told->node;
	reservation->ttl = told->ttl_ms;
	reservation->end = reservations_now() + told->ttl_ms;
	reservation->number = reservations->last_number + 1;
	return set_budgets(reservations, reservation, told->size) < 0
		       ? reservation_free(reservation)
		       : reservation;
}

int reservations_make(struct reservations *reservations,
	const struct reservation_create_parameters *told, struct tenant *tenant,
	struct reservation **ret, const struct budget **ret_refused)
{
	struct reservation *reservation;
	int r;

	*ret_refused = NULL;
	if (reservations_by_name(reservations, told->name))
		return -EEXIST;
	reservation = new_reservation(reservations, told, tenant);
	if (!reservation)
		return -ENOMEM;
	*ret_refused = promise(reservation);
	r = *ret_refused ? -ENOSPC : reservation_ledger_note(reservations, reservation);
	if (r < 0) {
		reservation_free(reservation);
		return r;
	}
	enlist(reservations, reservation);
	*ret = reservation;
	return 0;
}

static bool can_be(
	struct reservations *reservations, const struct reservation *told, const char *tenant)
{
	const struct reservation_create_parameters as_told = {.name = told->name,
		.size = told->budget.limit,
		.tenant = tenant[0] ? tenant : NULL,
		.machine = told->machine[0] ? told->machine : NULL,
		.node = told->node == NODE_ANY ? FIELD_UNSET : (uint64_t)told->node,
		.ttl_ms = told->ttl};

	return !fields_fault(methods[METHOD_RESERVATION_CREATE].parameters, &as_told) &&
	       told->end <= reservations_now() + told->ttl &&
	       !RB_FIND(reservation_number_tree, &reservations->by_number,
		       (struct reservation *)told) &&
	       !reservations_by_id(reservations, told->id) &&
	       !reservations_by_name(reservations, told->name);
}

int reservations_recover(
	struct reservations *reservations, const struct reservation *told, const char *tenant)
{
	struct reservation *reservation;
	int r;

	if (!can_be(reservations, told, tenant))
		return -EBADMSG;
	reservation = malloc(sizeof *reservation);
	if (!reservation)
		return -ENOMEM;
	*reservation = *told;
	reservation->tenant = NULL;
	if (tenant[0] && tenants_get(reservations->tenants, tenant, 0, &reservation->tenant) < 0) {
		free(reservation);
		return -ENOMEM;
	}
	r = set_budgets(reservations, reservation, told->budget.limit);
	if (r == 0 && promise(reservation))
		r = -EBADMSG;
	if (r < 0) {
		reservation_free(reservation);
		return r;
	}
	enlist(reservations, reservation);
	return 0;
}

static void forget(struct reservations *reservations, struct reservation *reservation)
{
	unlist(reservations, reservation);
	reservation_free(reservation);
}

int reservations_end(struct reservations *reservations, struct reservation *reservation)
{
	int r = reservation_ledger_forget(reservations, reservation);

	if (r == 0)
		forget(reservations, reservation);
	return r;
}

int reservations_use(struct reservations *reservations, struct reservation *reservation,
	struct budget *of_vm, struct budget *of_node)
{
	int r = reservation_ledger_forget(reservations, reservation);

	if (r < 0)
		return r;
	budget_hand_over(&reservation->budget, of_vm);
	if (reservation->of_node.is_promised)
		budget_hand_over(&reservation->of_node, of_node);
	forget(reservations, reservation);
	return 0;
}

void reservations_clear(struct reservations *reservations)
{
	struct reservation *reservation;

	reservation_ledger_close(reservations);
	while ((reservation = RB_ROOT(&reservations->by_number)))
		forget(reservations, reservation);
}
