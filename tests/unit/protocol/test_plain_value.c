/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain values: what is read as one is what json-c's tokener makes of it, on texts of all kinds.
 */
#include "protocol/plain_value.h"

#include <json-c/json.h>
#include <string.h>

#include "protocol/json.h"
#include "tests/unit/protocol/plain_texts.h"

#define EIGHT(bracket) bracket bracket bracket bracket bracket bracket bracket bracket
#define NAME_OF_63     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char *const plain[] = {
	"{}",
	"[]",
	" [ ] \n",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slot.bind\",\"params\":{\"vm\":\"vm-7\","
	"\"slot\":0,\"guest_phys_addr\":1048576,\"memory\":null,\"flags\":[\"mmap\"]}}",
	"{\"jsonrpc\" : \"2.0\" ,\t\"id\":7,\r\n\"result\":{\"calls\":[{\"id\":62,\"count\":1}]}}",
	"[0,123456789012345678,true,false,null,\"\",\"a b~!#[]{}:,/\"]",
	"[[1,[2,[3]]],{\"a\":{\"b\":{}}}]",
	"{\"\":0,\"A name.of_any-kind\":1}",
	EIGHT("[") EIGHT("[") EIGHT("]") EIGHT("]"),
	"{\"" NAME_OF_63 "\":1}",
};

/* All that is left to the tokener, be it good or bad. */
static const char *const other[] = {
	"",
	" ",
	"1",
	"null",
	"true",
	"\"text\"",
	"[",
	"]",
	"[}",
	"{]",
	"[1 2]",
	"[1,]",
	"[,1]",
	"{\"a\":1,}",
	"{\"a\"}",
	"{\"a\":}",
	"{a:1}",
	"{1:1}",
	"[]x",
	"[] []",
	"{\"a\":1,\"a\":1}",
	"[01]",
	"[-1]",
	"[1.0]",
	"[1e1]",
	"[1234567890123456789]",
	"[nul]",
	"[nullx]",
	"[True]",
	"[\"\\n\"]",
	"[\"\\u0041\"]",
	"[\"\x7f\"]",
	"[\"\t\"]",
	"[\"\xc3\xa4\"]",
	"['a']",
	EIGHT("[") EIGHT("[") "[]" EIGHT("]") EIGHT("]"),
	"{\"" NAME_OF_63 "a\":1}",
};

static bool is_plain(const char *text, size_t length)
{
	struct json_object *value = plain_value_read(text, length);
	bool is = value;

	json_unref(value);
	return is;
}

/* NULL where it is none. */
static struct json_object *tokenize(const char *text, size_t length)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *value;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tokener, text, (int)length);
	json_tokener_free(tokener);
	return value;
}

/* The same values, of the same types, in the same order. */
static bool agrees(const char *text, size_t length)
{
	struct json_object *value = plain_value_read(text, length), *tokenized;
	size_t length_a, length_b;
	bool same;

	if (!value)
		return true;
	tokenized = tokenize(text, length);
	same = tokenized && json_object_equal(value, tokenized) &&
	       strcmp(json_print(value, &length_a), json_print(tokenized, &length_b)) == 0;
	json_unref(tokenized);
	json_unref(value);
	return same;
}

static const struct plain_texts texts = {
	.plain = plain,
	.n_plain = sizeof plain / sizeof *plain,
	.other = other,
	.n_other = sizeof other / sizeof *other,
	.is_plain = is_plain,
	.agrees = agrees,
};

static void test_which(void)
{
	plain_texts_check_which(&texts);
}

static void test_random(void)
{
	plain_texts_check_random(&texts);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"which are", test_which},
		{"as the tokener reads them", test_random},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "plain values", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
