/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reservation.create, reservation.list, reservation.cancel.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/numa_node.h"
#include "daemon/methods/methods.h"
#include "daemon/release/lapse.h"
#include "daemon/release/lingering.h"
#include "daemon/report/reservation_report.h"
#include "daemon/request/page_cursor.h"
#include "daemon/request/request.h"
#include "protocol/field_check.h"
#include "protocol/json.h"

/* What one takes in an answer at most, but for its name and tenant, a byte of which JSON may write
 * in six. */
#define RESERVATION_BYTES 500

/* It is found by the UUID alone. */
static bool is_name_of_machine(const char *name)
{
	return field_uuid_fits(name) && strcspn(name, "ABCDEF") == strlen(name);
}

static int check_told(
	struct request *request, const struct reservation_create_parameters *parameters)
{
	const struct gmemd *gmemd = request->gmemd;

	if (parameters->node != FIELD_UNSET &&
		!capacity_has_node(&request->gmemd->capacity, (unsigned)parameters->node))
		return rpc_error_invalid_param(
			&request->error, "node", "a NUMA node of this host that has memory");
	if (parameters->machine && !is_name_of_machine(parameters->name))
		return rpc_error_invalid_param(&request->error, "name",
			"of a machine's reservation, its VM's UUID in small letters");
	if (gmemd->reservations.count >= limit_value(&gmemd->config, LIMIT_RESERVATIONS_ON_HOST))
		return request_limit_error(request, LIMIT_RESERVATIONS_ON_HOST,
			"There are as many reservations as there may be");
	return 0;
}

static int name_conflict(struct request *request, const char *name)
{
	const struct reservation *other = reservations_by_name(&request->gmemd->reservations, name);

	rpc_error_conflict(&request->error, "name", "There is a reservation of this name");
	rpc_error_detail_string(&request->error, "name", name);
	rpc_error_detail_string(&request->error, "reservation", other->id);
	rpc_error_detail_uint(&request->error, "size", other->budget.limit);
	return request->error.code;
}

static bool is_name_of_user(const char *name, uid_t *ret)
{
	char whole[TENANT_NAME_SIZE];

	if (sscanf(name, "uid:%u", ret) != 1)
		return false;
	tenant_name_of_user(*ret, whole);
	return strcmp(name, whole) == 0;
}

/* A reference to one in which a VM can be opened. */
static int find_tenant(struct request *request, const char *name, struct tenant **ret)
{
	struct tenants *tenants = &request->gmemd->registry.tenants;
	struct tenant *tenant = tenants_find(tenants, name);
	uid_t uid;

	if (tenant)
		tenant_ref(tenant);
	else if (is_name_of_user(name, &uid) && tenants_get(tenants, name, uid, &tenant) < 0)
		return rpc_error_internal(&request->error, "no memory");
	if (tenant && tenant_is_open(tenant)) {
		*ret = tenant;
		return 0;
	}
	tenant_unref(tenant);
	return rpc_error_invalid_param(&request->error, "tenant",
		"one of the configuration's, or, where that has none, a user such as \"uid:107\"");
}

/* What no VM of the tenant could use is not reserved for it. */
static int check_tenant(struct request *request, const struct tenant *tenant)
{
	const struct reservation_create_parameters *parameters =
		&request->parameters.reservation_create;
	const struct config_tenant *config = tenant->config;
	uint64_t most;

	if (!config)
		return 0;
	most = config_bytes(&config->vm_limit, request->gmemd->host.memory_total);
	if (parameters->size > most)
		return rpc_error_limit(&request->error, "A VM of the tenant may be promised less",
			"vm-limit", most, "tenant");
	if (parameters->node != FIELD_UNSET && config->nodes.count > 0 &&
		!config_list_has(&config->nodes, (uint32_t)parameters->node))
		return rpc_error_invalid_param(
			&request->error, "node", "a NUMA node that the tenant may have");
	return 0;
}

static int make(struct request *request, const struct reservation_create_parameters *parameters,
	struct tenant *tenant, struct reservation **ret)
{
	const struct budget *refused;
	int r = reservations_make(&request->gmemd->reservations, parameters, tenant, ret, &refused);

	if (r == -EEXIST)
		return name_conflict(request, parameters->name);
	request->refused_by = r == -ENOSPC ? refused : NULL;
	if (r == -ENOSPC)
		return rpc_error_budget_exceeded(&request->error, refused->scope,
			budget_most(refused), refused->committed, refused->promised,
			parameters->size);
	return r < 0 ? rpc_error_internal(&request->error, "no memory") : 0;
}

static void report(
	const struct request *request, enum reservation_turn turn, const struct reservation *which)
{
	struct gmemd *gmemd = request->gmemd;

	report_reservation(&gmemd->audit, &gmemd->events,
		&(struct reservation_report){
			.turn = turn, .reservation = which, .by = &request->caller->process});
}

int handle_reservation_create(struct request *request)
{
	const struct reservation_create_parameters *parameters =
		&request->parameters.reservation_create;
	struct reservation *reservation;
	struct tenant *tenant = NULL;
	int r;

	r = check_told(request, parameters);
	if (r == 0 && parameters->tenant)
		r = find_tenant(request, parameters->tenant, &tenant);
	if (r == 0 && tenant)
		r = check_tenant(request, tenant);
	if (r == 0)
		r = make(request, parameters, tenant, &reservation);
	r = request_before_lingering(request, r);
	tenant_unref(tenant); /* the reservation has its own */
	if (r < 0)
		return r;
	lapses_schedule(request->gmemd->lapses);
	report(request, RESERVATION_MADE, reservation);
	json_add_string(request->result, "reservation", reservation->id);
	return 0;
}

static void describe(
	struct json_object *object, const struct reservation *reservation, uint64_t now)
{
	json_add_string(object, "reservation", reservation->id);
	json_add_string(object, "name", reservation->name);
	json_add_uint(object, "size", reservation->budget.limit);
	if (reservation->tenant)
		json_add_string(object, "tenant", reservation->tenant->name);
	else
		json_add_null(object, "tenant");
	json_add_string(object, "machine", reservation->machine[0] ? reservation->machine : NULL);
	if (reservation->node != NODE_ANY)
		json_add_uint(object, "node", (uint64_t)reservation->node);
	else
		json_add_null(object, "node");
	json_add_uint(object, "ttl_ms", reservation->ttl);
	json_add_uint(object, "remaining_ms", reservation->end > now ? reservation->end - now : 0);
}

/* One that is due stays there until its lapse is noted: until then its memory is promised. */
int handle_reservation_list(struct request *request)
{
	const char *cursor = request->parameters.reservation_list.cursor;
	struct reservations *reservations = &request->gmemd->reservations;
	struct reservation *reservation;
	uint64_t number = 0, now = reservations_now();
	struct json_object *list;
	size_t bytes = 0;

	if (cursor && !page_cursor_read(cursor, "reservation", &number))
		return page_cursor_error(request);
	list = json_add_array(request->result, "reservations");
	reservation = reservations_from(reservations, number);
	for (; reservation; reservation = reservations_from(reservations, number + 1)) {
		number = reservation->number;
		bytes += RESERVATION_BYTES + 6 * (strlen(reservation->name) + TENANT_NAME_SIZE);
		if (bytes > PAGE_BYTES_MAX) {
			page_cursor_add(request->result, "reservation", number);
			break;
		}
		describe(json_append_object(list), reservation, now);
	}
	return 0;
}

int handle_reservation_cancel(struct request *request)
{
	const char *named = request->parameters.reservation_cancel.reservation;
	struct reservations *reservations = &request->gmemd->reservations;
	struct reservation *reservation = reservations_find(reservations, named);
	struct reservation cancelled;

	if (!reservation)
		return rpc_error_not_found(&request->error, "reservation", named);
	cancelled = *reservation;
	if (reservations_end(reservations, reservation) < 0)
		return rpc_error_internal(&request->error, "no memory");
	cancelled.tenant = NULL; /* may be gone with it */
	report(request, RESERVATION_CANCELLED, &cancelled);
	return 0;
}
