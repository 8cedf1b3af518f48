/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of reservations. See reservation_record.h.
 */
#include "daemon/reservation/reservation_record.h"

#include <string.h>
#include <systemd/sd-id128.h>

void reservation_record_write(const struct reservation *reservation, struct reservation_record *ret)
{
	sd_id128_t id = SD_ID128_NULL;

	*ret = (struct reservation_record){
		.kind = RECORD_RESERVATION,
		.node = reservation->node,
		.number = reservation->number,
		.size = reservation->budget.limit,
		.ttl = reservation->ttl,
		.end = reservation->end,
	};
	sd_id128_from_string(reservation->id, &id);
	memcpy(ret->id, &id, sizeof id);
	memcpy(ret->name, reservation->name, strlen(reservation->name));
	if (reservation->tenant)
		memcpy(ret->tenant, reservation->tenant->name, strlen(reservation->tenant->name));
	memcpy(ret->machine, reservation->machine, strlen(reservation->machine));
}

bool reservation_record_read(const void *bytes, size_t length, struct reservation *ret,
	char ret_tenant[static NAME_BYTES_MAX + 1])
{
	struct reservation_record record = {.kind = 0};
	sd_id128_t id;

	memcpy(&record, bytes, length < sizeof record ? length : sizeof record);
	if (record.kind != RECORD_RESERVATION)
		return false;
	*ret = (struct reservation){
		.node = record.node,
		.number = record.number,
		.budget = {.limit = record.size},
		.ttl = record.ttl,
		.end = record.end,
	};
	memcpy(&id, record.id, sizeof id);
	sd_id128_to_string(id, ret->id);
	memcpy(ret->name, record.name, sizeof record.name);
	memcpy(ret->machine, record.machine, sizeof record.machine - 1);
	memcpy(ret_tenant, record.tenant, sizeof record.tenant);
	ret_tenant[sizeof record.tenant] = '\0';
	return true;
}
