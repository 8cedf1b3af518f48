/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots' records one by one. See slots_alone.h.
 */
#include "tests/lib/slots_alone.h"

#include "daemon/vm/vm_record.h"

static int put_each(struct ledger *ledger, const struct slots_record *record)
{
	struct slot_record slot;
	uint32_t index;
	int r = 0;

	for (unsigned part = 0; r == 0 && part < SLOTS_TOGETHER; part++) {
		if (!record_unpack_slot(record->slots[part], &slot))
			continue;
		r = ledger_free_index(ledger, &index);
		if (r == 0)
			r = ledger_put(ledger, index, &slot, sizeof slot);
	}
	return r;
}

int slots_alone(struct ledger *ledger)
{
	uint32_t end = ledger_end(ledger);
	union record record;
	int r = 0;

	for (uint32_t index = 0; r == 0 && index < end; index++) {
		if (!record_at(ledger, index, RECORD_SLOTS, &record))
			continue;
		r = put_each(ledger, &record.slots);
		if (r == 0)
			r = ledger_delete(ledger, index);
	}
	ledger_commit(ledger);
	return r;
}
