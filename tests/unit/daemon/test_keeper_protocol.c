/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the keeper takes for a request, and gmemd for its answer; each field with values that are
 * wrong in it. And what a keeper holds, by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/keeper/held_fds.h"
#include "daemon/keeper/packet.h"
#include "tests/lib/unit.h"

/* As if it had come; it owns no fds. */
static struct keeper_packet packet_of(uint16_t operation, uint32_t count, unsigned n_fds)
{
	struct keeper_packet packet = {
		.message.header = {.magic = KEEPER_MAGIC,
			.version = KEEPER_VERSION,
			.operation = operation,
			.count = count,
			.serial = 7},
		.came = {.length = keeper_message_length(count), .n_fds = n_fds},
	};

	return packet;
}

static void test_requests(void)
{
	static const struct {
		uint16_t operation;
		uint32_t count, flags;
		unsigned n_fds;
		int r;
	} rows[] = {
		{KEEPER_HELLO, 0, 0, 0, 0},
		{KEEPER_HELLO, 1, 0, 0, -EBADMSG},
		{KEEPER_HELLO, 0, 0, 1, -EBADMSG},
		{KEEPER_HELLO, 0, KEEPER_STORE, 0, -EBADMSG},
		{KEEPER_PUT, 1, 0, 1, 0},
		{KEEPER_PUT, KEEPER_BATCH, KEEPER_STORE, KEEPER_BATCH, 0},
		{KEEPER_PUT, 0, 0, 0, -EBADMSG},
		{KEEPER_PUT, KEEPER_BATCH + 1, 0, KEEPER_BATCH, -EBADMSG},
		{KEEPER_PUT, 2, 0, 1, -EBADMSG},
		{KEEPER_PUT, 1, 0, 2, -EBADMSG},
		{KEEPER_PUT, 1, KEEPER_MORE, 1, -EBADMSG},
		{KEEPER_DROP, 1, 0, 0, 0},
		{KEEPER_DROP, KEEPER_BATCH, 0, 0, 0},
		{KEEPER_DROP, 0, 0, 0, -EBADMSG},
		{KEEPER_DROP, KEEPER_BATCH + 1, 0, 0, -EBADMSG},
		{KEEPER_DROP, 1, 0, 1, -EBADMSG},
		{KEEPER_DROP, 1, KEEPER_STORE, 0, -EBADMSG},
		{KEEPER_TAKE, 0, 0, 0, 0},
		{KEEPER_TAKE, 1, 0, 0, 0},
		{KEEPER_TAKE, 2, 0, 0, -EBADMSG},
		{KEEPER_TAKE, 0, 0, 1, -EBADMSG},
		{KEEPER_TAKE_MANY, 0, 0, 0, 0},
		{KEEPER_TAKE_MANY, 1, 0, 0, 0},
		{KEEPER_TAKE_MANY, 2, 0, 0, -EBADMSG},
		{KEEPER_TAKE_MANY, 0, 0, 1, -EBADMSG},
		{KEEPER_REFUSAL, 0, 0, 0, -EBADMSG},
		{0, 0, 0, 0, -EBADMSG},
		{99, 0, 0, 0, -EBADMSG},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct keeper_packet packet =
			packet_of(rows[i].operation, rows[i].count, rows[i].n_fds);
		int r;

		packet.message.header.flags = rows[i].flags;
		r = keeper_request_check(&packet);
		UNIT_ASSERT_ROW(r == rows[i].r, "row %zu: %d", i, r);
		packet.came.length++;
		CU_ASSERT_EQUAL(keeper_request_check(&packet), -EBADMSG);
		packet.came.length -= 2;
		CU_ASSERT_EQUAL(keeper_request_check(&packet), -EBADMSG);
	}
}

static void test_headers(void)
{
	struct keeper_packet packet = packet_of(KEEPER_HELLO, 0, 0);

	packet.message.header.magic++;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), -EBADMSG);
	packet.message.header.magic--;
	packet.message.header.version++;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), -EPROTONOSUPPORT);
	packet.message.header.version--;
	packet.message.header.result = -1;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), -EBADMSG);
	packet.message.header.result = 0;
	packet.message.header.reserved = 1;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), -EBADMSG);
	packet = packet_of(KEEPER_PUT, 2, 1);
	packet.came.fds_lost = true;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), -EMFILE);
	packet = packet_of(KEEPER_PUT, KEEPER_BATCH, KEEPER_BATCH);
	packet.came.fds_lost = true;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), -EBADMSG);
}

/* The end of what nothing is dropped with would be seen for ever. */
static void test_lives(void)
{
	struct keeper_packet packet = packet_of(KEEPER_PUT, 2, 2);

	packet.message.header.flags = KEEPER_LIFE;
	packet.message.ids[0].kind = packet.message.ids[1].kind = KEEPER_OWNED_KINDS;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), 0);
	packet.message.ids[1].kind--;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), -EBADMSG);
	packet.message.header.flags = KEEPER_STORE;
	CU_ASSERT_EQUAL(keeper_request_check(&packet), 0);
}

static void check_answer(const struct keeper_packet *packet, int expected, const char *what)
{
	const struct keeper_packet request = packet_of(KEEPER_TAKE, 0, 0);
	int r = keeper_answer_check(packet, &request.message.header);

	UNIT_ASSERT_ROW(r == expected, "%s: %d", what, r);
}

static void test_answers(void)
{
	struct keeper_packet packet = packet_of(KEEPER_TAKE, 3, 3);

	check_answer(&packet, 0, "three");
	packet.came.n_fds = 2;
	check_answer(&packet, -EBADMSG, "a fd less");
	packet = packet_of(KEEPER_TAKE, 3, 3);
	packet.came.length--;
	check_answer(&packet, -EBADMSG, "shorter");
	packet = packet_of(KEEPER_TAKE, KEEPER_BATCH + 1, KEEPER_BATCH);
	check_answer(&packet, -EBADMSG, "too many");
	packet = packet_of(KEEPER_TAKE, 0, 0);
	packet.message.header.serial++;
	check_answer(&packet, -EBADMSG, "another's");
	packet = packet_of(KEEPER_DROP, 0, 0);
	check_answer(&packet, -EBADMSG, "of another operation");
	packet = packet_of(KEEPER_TAKE, 0, 0);
	packet.message.header.result = 1;
	check_answer(&packet, -EBADMSG, "a result that is none");
	packet.message.header.result = -ETOOMANYREFS;
	check_answer(&packet, 0, "a failure");
	packet = packet_of(KEEPER_REFUSAL, 0, 0);
	packet.message.header.result = -EPERM;
	check_answer(&packet, -EPERM, "a refusal");
	packet = packet_of(KEEPER_TAKE, 3, 2);
	packet.came.fds_lost = true;
	check_answer(&packet, -EMFILE, "fds that this process can't hold");
}

static void test_answers_of_many(void)
{
	const struct keeper_packet request = packet_of(KEEPER_TAKE_MANY, 0, 0);
	struct keeper_packet packet = packet_of(KEEPER_TAKE_MANY, KEEPER_MANY, KEEPER_MANY);

	CU_ASSERT_EQUAL(keeper_answer_check(&packet, &request.message.header), 0);
	packet.message.header.count++;
	packet.came.length = keeper_message_length(KEEPER_MANY + 1);
	CU_ASSERT_EQUAL(keeper_answer_check(&packet, &request.message.header), -EBADMSG);
	packet = packet_of(KEEPER_TAKE, KEEPER_BATCH + 1, KEEPER_BATCH + 1);
	check_answer(&packet, -EBADMSG, "many, where few were asked for");
}

static int new_file(void)
{
	return memfd_create("test", MFD_CLOEXEC);
}

static void test_holding(void)
{
	const struct keeper_id ids[] = {{1, 1, 2}, {1, 1, 1}, {0, 9, 9}};
	int fds[] = {new_file(), new_file(), new_file()}, more = new_file();
	size_t before = unit_open_fds();
	struct held_fds holding;

	held_fds_init(&holding, 3);
	CU_ASSERT_EQUAL(held_fds_put(&holding, ids, fds, 3, false), 0);
	CU_ASSERT_TRUE(fds[0] == -1 && fds[1] == -1 && fds[2] == -1);
	CU_ASSERT_EQUAL(
		held_fds_put(&holding, &(struct keeper_id){5, 5, 5}, &more, 1, false), -EMFILE);
	CU_ASSERT_TRUE(more >= 0);
	CU_ASSERT_EQUAL(held_fds_after(&holding, NULL)->id.owner, 9);
	CU_ASSERT_EQUAL(held_fds_after(&holding, &ids[2])->id.member, 1);
	CU_ASSERT_EQUAL(held_fds_after(&holding, &ids[1])->id.member, 2);
	CU_ASSERT_PTR_NULL(held_fds_after(&holding, &ids[0]));
	CU_ASSERT_EQUAL(held_fds_put(&holding, ids, &more, 1, false), 0);
	CU_ASSERT_EQUAL(unit_open_fds(), before - 1);
	held_fds_drop(&holding, &ids[1]);
	held_fds_drop(&holding, &ids[1]);
	CU_ASSERT_EQUAL(holding.count, 2);
	CU_ASSERT_EQUAL(held_fds_after(&holding, &ids[1])->id.member, 2);
	held_fds_clear(&holding);
	CU_ASSERT_EQUAL(holding.count, 0);
	CU_ASSERT_EQUAL(unit_open_fds(), before - 4);
}

static void test_restored(void)
{
	struct held_fds holding;
	int fd = new_file();

	held_fds_init(&holding, 1);
	CU_ASSERT_EQUAL(held_fds_restore(&holding, "stored", fd), -EINVAL);
	CU_ASSERT_EQUAL(held_fds_restore(&holding, "held-1-2", fd), -EINVAL);
	CU_ASSERT_EQUAL(held_fds_restore(&holding, "held-1-2-ffffffffffffffff", fd), 0);
	CU_ASSERT_EQUAL(held_fds_after(&holding, NULL)->fd, fd);
	CU_ASSERT_EQUAL(held_fds_after(&holding, NULL)->id.kind, 1);
	CU_ASSERT_EQUAL(held_fds_after(&holding, NULL)->id.owner, 2);
	CU_ASSERT_EQUAL(held_fds_after(&holding, NULL)->id.member, UINT64_MAX);
	held_fds_clear(&holding);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) < 0);
}

static CU_TestInfo tests[] = {
	{"requests", test_requests},
	{"headers", test_headers},
	{"lives", test_lives},
	{"answers", test_answers},
	{"answers of many", test_answers_of_many},
	{"holding", test_holding},
	{"what was stored", test_restored},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "keeper", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
