/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing and reading records of peers. See peer_record.h.
 */
#include "daemon/request/peer_record.h"

#include <string.h>

#include "protocol/methods.h"
#include "protocol/packet.h"

/* Peers */

void peer_record_write(const struct peer_entry *entry, struct peer_record *ret)
{
	*ret = (struct peer_record){
		.kind = RECORD_PEER,
		.access = entry->access,
		.subscribed = entry->subscribed,
		.number = entry->number,
		.sequence = entry->sequence,
		.owned = entry->owned,
	};
	memcpy(ret->unit, entry->unit, sizeof ret->unit);
	memcpy(ret->tenant, entry->tenant, sizeof ret->tenant);
}

static bool peer_record_fits(const struct peer_record *record)
{
	return (record->access == ACCESS_VMM || record->access == ACCESS_OPERATOR) &&
	       record->subscribed <= 1 && record->number > 0 && record->owned <= 1 &&
	       memchr(record->unit, '\0', sizeof record->unit) &&
	       memchr(record->tenant, '\0', sizeof record->tenant);
}

bool peer_record_read(const void *bytes, size_t length, struct peer_entry *ret)
{
	struct peer_record record = {.kind = 0};

	if (length < offsetof(struct peer_record, owned))
		return false;
	memcpy(&record, bytes, length < sizeof record ? length : sizeof record);
	if (!peer_record_fits(&record))
		return false;
	*ret = (struct peer_entry){
		.number = record.number,
		.access = record.access,
		.subscribed = record.subscribed,
		.sequence = record.sequence,
		.owned = record.owned,
	};
	memcpy(ret->unit, record.unit, sizeof ret->unit);
	memcpy(ret->tenant, record.tenant, sizeof ret->tenant);
	return true;
}

/* Answers that are owed */

#define PART_BYTES sizeof((struct owed_record *)0)->bytes

size_t owed_record_parts(size_t length)
{
	return length / PART_BYTES + 1;
}

size_t owed_record_start(const struct owed_record *record)
{
	return record->part * PART_BYTES;
}

void owed_record_write(const struct owed_answer *owed, uint16_t part, struct owed_record *ret)
{
	size_t start = part * PART_BYTES, left = owed->length - start;

	*ret = (struct owed_record){
		.kind = RECORD_OWED,
		.when = (uint8_t)owed->when,
		.files = (uint8_t)owed->files,
		.order = (uint16_t)owed->order,
		.part = part,
		.length = (uint32_t)(left < PART_BYTES ? left : PART_BYTES),
		.peer = owed->peer,
		.turn = owed->turn,
		.request = owed->request,
		.object = owed->object,
	};
	memcpy(ret->bytes, owed->text + start, ret->length);
}

void owed_record_read(const struct owed_record *record, struct owed_answer *ret)
{
	*ret = (struct owed_answer){
		.peer = record->peer,
		.turn = record->turn,
		.request = record->request,
		.order = record->order,
		.when = record->when,
		.files = record->files,
		.object = record->object,
	};
}

bool owed_record_fits(const struct owed_record *record)
{
	return record->when <= OWED_PACKET && record->files <= OWED_MEMORY_FILE &&
	       record->length <= PART_BYTES &&
	       owed_record_start(record) + record->length <= PACKET_BYTES_MAX;
}
