/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading records. See vm_record.h.
 */
#include "daemon/vm/vm_record.h"

#include <string.h>

const void *record_at(
	const struct ledger *ledger, uint32_t index, enum record_kind kind, union record *ret)
{
	const void *bytes;
	size_t length;
	uint16_t found;

	memset(ret, 0, RECORD_SIZE);
	if (ledger_get(ledger, index, &bytes, &length) < 0 || length < sizeof found)
		return NULL;
	memcpy(ret, bytes, length < RECORD_SIZE ? length : RECORD_SIZE);
	memcpy(&found, ret, sizeof found);
	return found == kind ? ret : NULL;
}

static void read_name(const struct ledger *ledger, enum record_kind kind, uint64_t owner,
	char ret[static NAME_BYTES_MAX + 1])
{
	const size_t part_size = sizeof((struct name_record *)0)->bytes;
	union record record;

	memset(ret, 0, NAME_BYTES_MAX + 1);
	EACH_RECORD (ledger, index, kind, &record) {
		const struct name_record *name = &record.name;
		size_t at = name->part * part_size;

		if (name->owner == owner && name->part < NAME_RECORDS &&
			name->length <= part_size && at + name->length <= NAME_BYTES_MAX)
			memcpy(ret + at, name->bytes, name->length);
	}
}

void record_read_name(
	const struct ledger *ledger, uint64_t owner, char ret[static NAME_BYTES_MAX + 1])
{
	read_name(ledger, RECORD_NAME, owner, ret);
}

void record_read_unit(const struct ledger *ledger, char ret[static NAME_BYTES_MAX + 1])
{
	read_name(ledger, RECORD_UNIT, 0, ret);
}
