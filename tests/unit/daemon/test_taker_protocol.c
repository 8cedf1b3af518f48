/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a taker takes for a request, and gmemd for its answer; each field with values that are wrong
 * in it.
 */
#include <errno.h>
#include <string.h>

#include "daemon/taker/packet.h"
#include "tests/lib/unit.h"

/* As if it had come; it owns no fds. */
static struct taker_packet request_of(uint16_t operation, uint32_t count, size_t n_fds)
{
	struct taker_packet packet = {
		.message.header = {.magic = TAKER_MAGIC,
			.version = TAKER_VERSION,
			.operation = operation,
			.count = count,
			.serial = 7},
		.came = {.length = sizeof(struct taker_header), .n_fds = n_fds},
	};

	if (operation != TAKER_CLOSE)
		packet.came.length = taker_request_length(operation, count);
	for (uint32_t i = 0; operation == TAKER_LOOK && i < count && i < TAKER_VIEWS_MAX; i++)
		packet.message.look.views[i] = (struct taker_view){.length = 4096};
	for (uint32_t i = 0; operation == TAKER_TAKE && i < count && i < TAKER_FILES_MAX; i++)
		packet.message.request.files[i].kind = TAKER_MEMORY;
	return packet;
}

static void test_requests(void)
{
	static const struct {
		uint16_t operation;
		uint32_t count, flags;
		size_t n_fds;
		int r;
	} rows[] = {
		{TAKER_TAKE, 0, 0, 1, 0},
		{TAKER_TAKE, 0, TAKER_MAPPING, 1, 0},
		{TAKER_TAKE, 1, 0, 1, 0},
		{TAKER_TAKE, 1, TAKER_MAPPING, 1, 0},
		{TAKER_TAKE, 1, TAKER_MAPPING | TAKER_MAPPING_OF_FILE, 1, 0},
		{TAKER_TAKE, 0, TAKER_MAPPING | TAKER_MAPPING_OF_FILE, 1, -EBADMSG},
		{TAKER_TAKE, 1, TAKER_MAPPING_OF_FILE, 1, -EBADMSG},
		{TAKER_TAKE, 1, TAKER_QUIET, 1, -EBADMSG},
		{TAKER_TAKE, TAKER_FILES_MAX, 0, 1, 0},
		{TAKER_TAKE, TAKER_FILES_MAX + 1, 0, 1, -EBADMSG},
		{TAKER_TAKE, UINT32_MAX, 0, 1, -EBADMSG},
		{TAKER_TAKE, 1, 0, 0, -EBADMSG},
		{TAKER_TAKE, 1, 0, 2, -EBADMSG},
		{TAKER_LOOK, 1, 0, 1, 0},
		{TAKER_LOOK, TAKER_VIEWS_MAX, 0, 1, 0},
		{TAKER_LOOK, TAKER_VIEWS_MAX + 1, 0, 1, -EBADMSG},
		{TAKER_LOOK, 0, 0, 1, -EBADMSG},
		{TAKER_LOOK, 1, 0, 0, -EBADMSG},
		{TAKER_LOOK, 1, TAKER_MAPPING, 1, -EBADMSG},
		{TAKER_CLOSE, 0, 0, 0, 0},
		{TAKER_CLOSE, 1, 0, 0, -EBADMSG},
		{TAKER_CLOSE, 0, 0, 1, -EBADMSG},
		{TAKER_CLOSE, 0, TAKER_MAPPING, 0, -EBADMSG},
		{TAKER_CLOSE, 0, TAKER_QUIET, 0, 0},
		{TAKER_CLOSE, 0, TAKER_QUIET | TAKER_MAPPING, 0, -EBADMSG},
		{0, 0, 0, 0, -EBADMSG},
		{99, 0, 0, 0, -EBADMSG},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct taker_packet packet =
			request_of(rows[i].operation, rows[i].count, rows[i].n_fds);
		int r;

		packet.message.header.flags = rows[i].flags;
		r = taker_request_check(&packet);
		UNIT_ASSERT_ROW(r == rows[i].r, "row %zu: %d", i, r);
		packet.came.length++;
		CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
		packet.came.length -= 2;
		CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
	}
}

static void test_kinds(void)
{
	struct taker_packet packet = request_of(TAKER_TAKE, 2, 1);

	for (uint32_t kind = TAKER_GUEST_MEMFD; kind <= TAKER_PIDFD; kind++) {
		packet.message.request.files[1].kind = kind;
		CU_ASSERT_EQUAL(taker_request_check(&packet), 0);
	}
	packet.message.request.files[1].kind = TAKER_PIDFD + 1;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
	packet.message.request.files[1].kind = 0;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
}

static void test_views(void)
{
	const struct taker_view wrong[] = {{.length = 0},
		{.address = UINT64_MAX - 4095, .length = 4097},
		{.offset = UINT64_MAX, .length = 1}};
	struct taker_packet packet = request_of(TAKER_LOOK, 2, 1);

	packet.message.look.views[1] = (struct taker_view){UINT64_MAX - 4096, 4096, 0, 1, 2};
	CU_ASSERT_EQUAL(taker_request_check(&packet), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		packet.message.look.views[1] = wrong[i];
		UNIT_ASSERT_ROW(taker_request_check(&packet) == -EBADMSG, "view %zu", i);
	}
	packet = request_of(TAKER_LOOK, 1, 1);
	packet.message.look.reserved = 1;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
}

static void test_headers(void)
{
	struct taker_packet packet = request_of(TAKER_TAKE, 1, 1);

	packet.message.header.magic++;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
	packet.message.header.magic--;
	packet.message.header.version++;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EPROTONOSUPPORT);
	packet.message.header.version--;
	packet.message.header.result = -1;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
	packet.message.header.result = 0;
	packet.message.header.reserved = 1;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
	packet.message.header.reserved = 0;
	packet.came.fds_lost = true;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EMFILE);
	packet.came.length = 3;
	CU_ASSERT_EQUAL(taker_request_check(&packet), -EBADMSG);
}

static struct taker_packet answer_to(const struct taker_packet *request, int result, size_t n_fds)
{
	const struct taker_header *header = &request->message.header;
	struct taker_packet packet = {
		.message.header = {.magic = TAKER_MAGIC,
			.version = TAKER_VERSION,
			.operation = header->operation,
			.result = result,
			.serial = header->serial},
		.came = {.length = taker_answer_length(header->operation), .n_fds = n_fds},
	};

	return packet;
}

static void check_answer(const struct taker_packet *answer, const struct taker_packet *request,
	int expected, const char *what)
{
	const struct taker_asked asked = taker_asked(&request->message);
	int r = taker_answer_check(answer, &asked);

	UNIT_ASSERT_ROW(r == expected, "%s: %d", what, r);
}

static void test_answers(void)
{
	const struct taker_packet request = request_of(TAKER_TAKE, 3, 1);
	struct taker_packet answer = answer_to(&request, 0, 3);

	check_answer(&answer, &request, 0, "three");
	answer.came.n_fds = 2;
	check_answer(&answer, &request, -EBADMSG, "a file less");
	answer.came.n_fds = 4;
	check_answer(&answer, &request, -EBADMSG, "a file more");
	answer = answer_to(&request, -EBADF, 0);
	answer.message.answer.failed = 2;
	check_answer(&answer, &request, 0, "the last is not open");
	answer.message.answer.failed = 3;
	check_answer(&answer, &request, -EBADMSG, "a file that wasn't asked for");
	answer = answer_to(&request, -EBADF, 1);
	check_answer(&answer, &request, -EBADMSG, "a failure with a file");
	answer = answer_to(&request, 1, 3);
	check_answer(&answer, &request, -EBADMSG, "a result that is no error");
	answer = answer_to(&request, 0, 3);
	answer.came.fds_lost = true;
	check_answer(&answer, &request, -EMFILE, "files that were lost");
	answer.came.fds_lost = false;
	answer.came.length--;
	check_answer(&answer, &request, -EBADMSG, "a byte less");
	answer.came.length += 2;
	check_answer(&answer, &request, -EBADMSG, "a byte more");
}

static void test_answered_mappings(void)
{
	const struct taker_packet request = request_of(TAKER_TAKE, 0, 1);
	struct taker_packet answer = answer_to(&request, 0, 0);

	check_answer(&answer, &request, 0, "no file");
	answer.message.answer.mapping = -EPERM;
	check_answer(&answer, &request, 0, "a mapping that is not as it must be");
	answer.message.answer.mapping = 1;
	check_answer(&answer, &request, -EBADMSG, "a mapping's result that is no error");
	answer.message.answer.mapping = 0;
	memset(answer.message.answer.reason, 'x', TAKER_REASON_SIZE);
	check_answer(&answer, &request, -EBADMSG, "a reason without an end");
}

/* No view is shown that was not asked for. */
static void test_answered_views(void)
{
	struct taker_packet request = request_of(TAKER_LOOK, 3, 1);
	struct taker_packet answer = answer_to(&request, 0, 0);

	answer.message.look_answer.shown = 7;
	check_answer(&answer, &request, 0, "all of three");
	answer.message.look_answer.shown = 8;
	check_answer(&answer, &request, -EBADMSG, "a fourth of three");
	answer.came.n_fds = 1;
	answer.message.look_answer.shown = 0;
	check_answer(&answer, &request, -EBADMSG, "a file");
	request = request_of(TAKER_LOOK, TAKER_VIEWS_MAX, 1);
	answer = answer_to(&request, 0, 0);
	answer.message.look_answer.shown = UINT64_MAX;
	check_answer(&answer, &request, 0, "as many as there can be");
}

static void test_answered_headers(void)
{
	const struct taker_packet request = request_of(TAKER_CLOSE, 0, 0);
	struct taker_packet answer = answer_to(&request, 0, 0);

	check_answer(&answer, &request, 0, "closed");
	answer.message.header.serial++;
	check_answer(&answer, &request, -EBADMSG, "another request's");
	answer.message.header.serial--;
	answer.message.header.operation = TAKER_TAKE;
	check_answer(&answer, &request, -EBADMSG, "another operation's");
	answer = answer_to(&request, 0, 0);
	answer.message.header.magic++;
	check_answer(&answer, &request, -EBADMSG, "another protocol's");
	answer = answer_to(&request, 0, 0);
	answer.message.header.version++;
	check_answer(&answer, &request, -EPROTONOSUPPORT, "another version's");
	answer = answer_to(&request, 0, 0);
	answer.message.header.flags = 1;
	check_answer(&answer, &request, -EBADMSG, "flags");
	answer = answer_to(&request, 0, 0);
	answer.message.header.count = 1;
	check_answer(&answer, &request, -EBADMSG, "a count");
}

/* Only what is handed over comes with an answer. */
static void test_looked_at(void)
{
	struct taker_packet request = request_of(TAKER_TAKE, 3, 1), answer;

	request.message.request.files[0].kind = TAKER_KVM;
	request.message.request.files[1].kind = TAKER_KVM;
	answer = answer_to(&request, 0, 1);
	check_answer(&answer, &request, 0, "one of three");
	answer.came.n_fds = 3;
	check_answer(&answer, &request, -EBADMSG, "all of them");
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{"requests: counts, files, flags, lengths", test_requests},
		{"requests: kinds of files", test_kinds},
		{"requests: views of files", test_views},
		{"requests: headers", test_headers},
		{"answers: files, lengths, which has failed", test_answers},
		{"answers: mappings", test_answered_mappings},
		{"answers: views of files", test_answered_views},
		{"answers: headers", test_answered_headers},
		{"answers: files that are only looked at", test_looked_at},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"taker protocol", NULL, NULL, NULL, NULL, tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
