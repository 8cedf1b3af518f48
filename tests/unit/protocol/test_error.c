/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors: codes, reasons and data as the wire contract has them.
 */
#include "protocol/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/json.h"
#include "tests/lib/unit.h"

static struct rpc_error error;

/* The error's data is the JSON; and it has something to say to a person, which ends like a
 * sentence. */
static void check(int r, int code, const char *data)
{
	size_t length;
	const char *text = json_print(error.data, &length);

	UNIT_ASSERT_ROW(r == code && (int)error.code == code, "%s: code %d", data, r);
	UNIT_ASSERT_ROW(strcmp(text, data) == 0, "%s, expected %s", text, data);
	length = strlen(error.message);
	UNIT_ASSERT_ROW(
		length > 1 && error.message[length - 1] == '.', "%s: \"%s\"", data, error.message);
}

static void test_own_codes(void)
{
	check(rpc_error_parse(&error, "why"), -32700, "{\"reason\":\"parse_error\"}");
	check(rpc_error_invalid_request(&error, "why"), -32600, "{\"reason\":\"invalid_request\"}");
	check(rpc_error_too_large(&error, "Too long", 65536), -32600,
		"{\"reason\":\"invalid_request\",\"limit\":65536}");
	check(rpc_error_method_not_found(&error, "no.such"), -32601,
		"{\"reason\":\"method_not_found\",\"method\":\"no.such\"}");
	check(rpc_error_invalid_param(&error, "size", "an integer"), -32602,
		"{\"reason\":\"invalid_params\",\"param\":\"size\",\"expected\":\"an integer\"}");
	CU_ASSERT_STRING_EQUAL(error.message, "size must be an integer.");
	check(rpc_error_internal(&error, "why"), -32603, "{\"reason\":\"internal_error\"}");
}

static void test_contract_codes(void)
{
	check(rpc_error_not_found(&error, "vm", "v1"), -32001,
		"{\"reason\":\"not_found\",\"what\":\"vm\",\"id\":\"v1\"}");
	check(rpc_error_not_found_number(&error, "slot", 7), -32001,
		"{\"reason\":\"not_found\",\"what\":\"slot\",\"id\":7}");
	check(rpc_error_not_permitted(&error, "admin.sock"), -32002,
		"{\"reason\":\"not_permitted\",\"missing\":\"admin.sock\"}");
	check(rpc_error_budget_exceeded(&error, "host", 100, 90, 80, UINT64_MAX), -32003,
		"{\"reason\":\"budget_exceeded\",\"scope\":\"host\",\"limit\":100,\"committed\":90,"
		"\"promised\":80,\"available\":10,\"requested\":18446744073709551615}");
	check(rpc_error_conflict(&error, "slot", "It is taken"), -32004,
		"{\"reason\":\"conflict\",\"with\":\"slot\"}");
	check(rpc_error_unsupported(&error, "KVM_CAP_GUEST_MEMFD", "6.1.0"), -32005,
		"{\"reason\":\"unsupported\",\"capability\":\"KVM_CAP_GUEST_MEMFD\",\"kernel\":\"6."
		"1.0\"}");
	check(rpc_error_kernel(&error, EINVAL, "mmap"), -32006,
		"{\"reason\":\"kernel\",\"errno\":\"EINVAL\",\"call\":\"mmap\"}");
	check(rpc_error_kernel(&error, 4000, "mmap"), -32006,
		"{\"reason\":\"kernel\",\"errno\":\"unknown\",\"call\":\"mmap\"}");
	check(rpc_error_busy(&error, "Later", 50), -32007,
		"{\"reason\":\"busy\",\"retry_after_ms\":50}");
	check(rpc_error_busy(&error, "Later", 0), -32007, "{\"reason\":\"busy\"}");
	check(rpc_error_limit(&error, "That is one too many", "vms-per-user", 7, "user"), RPC_LIMIT,
		"{\"reason\":\"limit\",\"limit\":\"vms-per-user\",\"value\":7,\"scope\":\"user\"}");
	CU_ASSERT_STRING_EQUAL(error.message, "That is one too many; vms-per-user is 7.");
	check(rpc_error_configuration(&error, "/x", 3, "floor", "/x:3: floor: must be a number"),
		RPC_CONFIGURATION,
		"{\"reason\":\"configuration\",\"file\":\"/x\",\"line\":3,\"setting\":\"floor\"}");
	CU_ASSERT_STRING_EQUAL(error.message, "gmemd refuses all requests, for its configuration "
					      "is wrong: /x:3: floor: must be a "
					      "number.");
	check(rpc_error_configuration(&error, "/x", 0, "", "/x: Permission denied"),
		RPC_CONFIGURATION, "{\"reason\":\"configuration\",\"file\":\"/x\"}");
	check(rpc_error_pinned(&error, 7, 8192), RPC_PINNED,
		"{\"reason\":\"pinned\",\"memory\":7,\"offset\":8192}");
	check(rpc_error_gone(&error, "vm", "v1"), -32008,
		"{\"reason\":\"gone\",\"what\":\"vm\",\"id\":\"v1\"}");
}

static void test_reasons(void)
{
	static const int codes[] = {-32700, -32600, -32601, -32602, -32603, -32001, -32002, -32003,
		-32004, -32005, -32006, -32007, -32008, RPC_LIMIT, RPC_CONFIGURATION, RPC_PINNED};
	const size_t count = sizeof codes / sizeof *codes;

	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(rpc_reason(codes[i]));
		for (size_t j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(rpc_reason(codes[i]), rpc_reason(codes[j]));
	}
	CU_ASSERT_PTR_NULL(rpc_reason(RPC_OK));
	CU_ASSERT_PTR_NULL(rpc_reason(-1));
}

static void test_value(void)
{
	struct json_object *value;
	size_t length;

	rpc_error_conflict(&error, "range", "It overlaps");
	rpc_error_detail_uint(&error, "slot", 3);
	rpc_error_detail_string(&error, "name", "ram");
	value = rpc_error_value(&error);
	/* The value outlives the error. */
	rpc_error_clear(&error);
	CU_ASSERT_STRING_EQUAL(json_print(value, &length),
		"{\"code\":-32004,\"message\":\"It overlaps.\",\"data\":{\"reason\":\"conflict\","
		"\"with\":\"range\",\"slot\":3,\"name\":\"ram\"}}");
	json_unref(value);
}

/* What is sent of a limit is the code of its kind. */
static void test_limit_value(void)
{
	struct json_object *value;
	int64_t code = 0;

	rpc_error_limit(&error, "That is one too many", "vms-per-user", 7, "user");
	value = rpc_error_value(&error);
	CU_ASSERT_TRUE(json_get_int(value, "code", &code));
	CU_ASSERT_EQUAL(code, -32007);
	json_unref(value);
}

static void test_clear(void)
{
	rpc_error_gone(&error, "vm", "v1");
	rpc_error_clear(&error);
	CU_ASSERT_EQUAL(error.code, RPC_OK);
	CU_ASSERT_PTR_NULL(error.data);
	CU_ASSERT_EQUAL(error.message[0], '\0');
	rpc_error_clear(&error);
}

/* What a peer wrote is cut, between its characters. */
static void test_cut(void)
{
	static const char *const characters[] = {
		"x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

	for (size_t i = 0; i < 4; i++) {
		char name[2048];
		const char *cut;

		for (unsigned shift = 0; shift < 4; shift++) {
			memset(name, 'a', shift);
			name[shift] = '\0';
			while (strlen(name) < 1024)
				strcat(name, characters[i]);
			rpc_error_method_not_found(&error, name);
			cut = json_get_string(error.data, "method");
			CU_ASSERT_TRUE(strlen(cut) > 60 && strlen(cut) <= 64);
			CU_ASSERT_EQUAL(strncmp(cut, name, strlen(cut)), 0);
			CU_ASSERT_EQUAL((strlen(cut) - shift) % (i + 1), 0);
			CU_ASSERT_PTR_NOT_NULL(strstr(error.message, cut));
		}
	}
}

/* A sentence that has no room says so. */
static void test_cut_sentence(void)
{
	char reason[600];
	size_t length;

	for (size_t shift = 0; shift < 3; shift++) {
		for (size_t i = 0; i < sizeof reason; i++)
			reason[i] = i < shift ? 'a' : "\xe2\x82\xac"[(i - shift) % 3];
		reason[sizeof reason - 1] = '\0';
		rpc_error_parse(&error, reason);
		length = strlen(error.message);
		UNIT_ASSERT_ROW(length > sizeof error.message - 8 &&
					strcmp(error.message + length - 3, "...") == 0 &&
					(uint8_t)error.message[length - 4] == 0xac,
			"%s", error.message);
	}
	rpc_error_clear(&error);
}

/* What just fits is not cut. */
static void test_not_cut(void)
{
	char name[65];

	memset(name, 'n', 64);
	name[64] = '\0';
	rpc_error_method_not_found(&error, name);
	CU_ASSERT_STRING_EQUAL(json_get_string(error.data, "method"), name);
}

static void test_errnos(void)
{
	static const struct {
		const char *name;
		int number;
	} rows[] = {{"EPERM", EPERM}, {"EINVAL", EINVAL}, {"EEXIST", EEXIST},
		{"EHWPOISON", EHWPOISON}, {"EOPNOTSUPP", EOPNOTSUPP}, {"", 0}, {"einval", 0},
		{"EINVAL ", 0}, {"E", 0}, {"22", 0}, {"ENOSUCH", 0}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		UNIT_ASSERT_ROW(errno_by_name(rows[i].name) == rows[i].number, "%s", rows[i].name);
	for (int number = 1; number < 134; number++) {
		if (strerrorname_np(number))
			CU_ASSERT_EQUAL(errno_by_name(strerrorname_np(number)), number);
	}
}

static void tear_down(void)
{
	rpc_error_clear(&error);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"JSON-RPC's own codes", test_own_codes},
		{"codes of the contract", test_contract_codes},
		{"reasons", test_reasons},
		{"value", test_value},
		{"value of a limit", test_limit_value},
		{"clear", test_clear},
		{"cut between characters", test_cut},
		{"a sentence that is cut", test_cut_sentence},
		{"not cut", test_not_cut},
		{"errnos by name", test_errnos},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "error", .pTearDownFunc = tear_down, .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
