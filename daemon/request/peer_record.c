/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What records of peers can say. See peer_record.h.
 */
#include "daemon/request/peer_record.h"

#include <string.h>

#include "protocol/methods.h"
#include "protocol/packet.h"

bool peer_record_fits(const struct peer_record *record)
{
	return (record->access == ACCESS_VMM || record->access == ACCESS_OPERATOR) &&
	       record->subscribed <= 1 && record->number > 0 && record->owned <= 1 &&
	       memchr(record->unit, '\0', sizeof record->unit);
}

bool owed_record_fits(const struct owed_record *record)
{
	size_t start = record->part * sizeof record->bytes;

	return record->when <= OWED_PACKET && record->files <= OWED_MEMORY_FILE &&
	       record->length <= sizeof record->bytes && start + record->length <= PACKET_BYTES_MAX;
}
