/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of peers, each writer with its reader; and what an older gmemd has written, or none can
 * have.
 */
#include "daemon/request/peer_record.h"

#include <string.h>

#include "protocol/methods.h"
#include "protocol/packet.h"
#include "tests/lib/unit.h"

static const struct peer_entry whole = {
	.number = 0x1111111122222222,
	.access = ACCESS_OPERATOR,
	.subscribed = true,
	.sequence = 0x3333333344444444,
	.owned = true,
	.unit = "machine-qemu.scope",
};

static void check_entry(const struct peer_entry *entry)
{
	struct peer_record record;
	struct peer_entry read;

	peer_record_write(entry, &record);
	CU_ASSERT_EQUAL(record.kind, RECORD_PEER);
	CU_ASSERT_TRUE_FATAL(peer_record_read(&record, sizeof record, &read));
	CU_ASSERT_EQUAL(read.number, entry->number);
	CU_ASSERT_EQUAL(read.access, entry->access);
	CU_ASSERT_EQUAL(read.subscribed, entry->subscribed);
	CU_ASSERT_EQUAL(read.sequence, entry->sequence);
	CU_ASSERT_EQUAL(read.owned, entry->owned);
	CU_ASSERT_STRING_EQUAL(read.unit, entry->unit);
}

static void test_peer(void)
{
	struct peer_entry entry = whole;

	check_entry(&entry);
	entry.subscribed = false;
	check_entry(&entry);
	entry.access = ACCESS_VMM;
	check_entry(&entry);
	entry.owned = false;
	entry.unit[0] = '\0';
	check_entry(&entry);
	memset(entry.unit, 'u', OWNER_UNIT_BYTES_MAX);
	entry.unit[OWNER_UNIT_BYTES_MAX] = '\0';
	check_entry(&entry);
}

/* An older gmemd knew of no unit. */
static void test_older_peer(void)
{
	size_t older = offsetof(struct peer_record, owned);
	struct peer_record record;
	struct peer_entry read;

	peer_record_write(&whole, &record);
	CU_ASSERT_TRUE_FATAL(peer_record_read(&record, older, &read));
	CU_ASSERT_EQUAL(read.number, whole.number);
	CU_ASSERT_FALSE(read.owned);
	CU_ASSERT_STRING_EQUAL(read.unit, "");
	CU_ASSERT_FALSE(peer_record_read(&record, older - 1, &read));
}

static void check_refused(const char *what, const struct peer_record *record)
{
	struct peer_entry read;

	UNIT_ASSERT_ROW(!peer_record_read(record, sizeof *record, &read), "%s", what);
}

static void test_no_peer(void)
{
	struct peer_record right, wrong;

	peer_record_write(&whole, &right);
	wrong = right;
	wrong.access = ACCESS_VMM | ACCESS_OPERATOR;
	check_refused("access", &wrong);
	wrong = right;
	wrong.subscribed = 2;
	check_refused("subscribed", &wrong);
	wrong = right;
	wrong.number = 0;
	check_refused("number", &wrong);
	wrong = right;
	wrong.owned = 2;
	check_refused("owned", &wrong);
	wrong = right;
	memset(wrong.unit, 'u', sizeof wrong.unit);
	check_refused("unit", &wrong);
}

static void check_part(
	const struct owed_answer *owed, const struct owed_record *record, char *ret_text)
{
	struct owed_answer read;

	UNIT_ASSERT_ROW(owed_record_fits(record), "%zu bytes", owed->length);
	owed_record_read(record, &read);
	CU_ASSERT_EQUAL(record->kind, RECORD_OWED);
	CU_ASSERT_EQUAL(read.peer, owed->peer);
	CU_ASSERT_EQUAL(read.turn, owed->turn);
	CU_ASSERT_EQUAL(read.request, owed->request);
	CU_ASSERT_EQUAL(read.order, owed->order);
	CU_ASSERT_EQUAL(read.when, owed->when);
	CU_ASSERT_EQUAL(read.files, owed->files);
	CU_ASSERT_EQUAL(read.object, owed->object);
	memcpy(ret_text + owed_record_start(record), record->bytes, record->length);
}

static void check_owed(const struct owed_answer *owed)
{
	static char text[PACKET_BYTES_MAX];
	size_t length = 0;

	memset(text, 0, sizeof text);
	for (uint16_t part = 0; part < owed_record_parts(owed->length); part++) {
		struct owed_record record;

		owed_record_write(owed, part, &record);
		check_part(owed, &record, text);
		length += record.length;
	}
	UNIT_ASSERT_ROW(length == owed->length, "%zu bytes", owed->length);
	UNIT_ASSERT_ROW(memcmp(text, owed->text, owed->length) == 0, "%zu bytes", owed->length);
}

/* Of every length about that of a part. */
static void test_owed(void)
{
	static const size_t lengths[] = {0, 1, 207, 208, 209, 415, 416, 417, PACKET_BYTES_MAX};
	static char text[PACKET_BYTES_MAX];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + i % 26);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		const struct owed_answer owed = {.peer = 0x1111111122222222,
			.turn = 0x3333333344444444,
			.request = 0x5555555566666666,
			.order = 7,
			.when = OWED_LATER,
			.files = OWED_MEMORY_FILE,
			.object = 0x8888888899999999,
			.text = text,
			.length = lengths[i]};

		check_owed(&owed);
	}
}

static void test_not_owed(void)
{
	struct owed_record record = {.when = OWED_PACKET + 1};

	CU_ASSERT_FALSE(owed_record_fits(&record));
	record = (struct owed_record){.files = OWED_MEMORY_FILE + 1};
	CU_ASSERT_FALSE(owed_record_fits(&record));
	record = (struct owed_record){.length = sizeof record.bytes + 1};
	CU_ASSERT_FALSE(owed_record_fits(&record));
	record = (struct owed_record){
		.part = PACKET_BYTES_MAX / sizeof record.bytes, .length = sizeof record.bytes};
	CU_ASSERT_FALSE(owed_record_fits(&record));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"peer", test_peer},
		{"peer of an older gmemd", test_older_peer},
		{"what is no peer", test_no_peer},
		{"answers in parts", test_owed},
		{"what is no answer", test_not_owed},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "records of peers", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
