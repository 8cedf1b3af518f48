/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects written as text: they are the text that a value of the same would be printed as.
 */
#include "protocol/json_writer.h"

#include "protocol/json.h"
#include "tests/lib/unit.h"

static void test_members(void)
{
	struct json_object *outer = json_new_object(), *array = json_add_array(outer, "a");
	struct json_writer writer;
	size_t length;

	json_writer_begin(&writer);
	json_append_made(array, json_writer_end(&writer));
	json_writer_begin(&writer);
	json_writer_uint(&writer, "zero", 0);
	json_writer_null(&writer, "none");
	json_writer_uint(&writer, "most", UINT64_MAX);
	json_add_made(outer, "b", json_writer_end(&writer));
	CU_ASSERT_STRING_EQUAL(json_print(outer, &length),
		"{\"a\":[{}],\"b\":{\"zero\":0,\"none\":null,\"most\":18446744073709551615}}");
	json_unref(outer);
}

/* Up to the last byte that there is room for, and no further. */
static void test_room(void)
{
	struct json_object *value;
	struct json_writer writer;
	size_t length;

	json_writer_begin(&writer);
	while (writer.length + sizeof "\"n\":1," < JSON_WRITER_SIZE)
		json_writer_uint(&writer, "n", 1);
	while (writer.length < JSON_WRITER_SIZE - 1)
		writer.bytes[writer.length++] = ' ';
	value = json_writer_end(&writer);
	CU_ASSERT_PTR_NOT_NULL(value);
	CU_ASSERT_PTR_NOT_NULL(json_print(value, &length));
	CU_ASSERT_EQUAL(length, JSON_WRITER_SIZE);
	json_unref(value);
	CU_ASSERT_PTR_NULL(json_writer_end(&writer));
	json_writer_null(&writer, "more");
	CU_ASSERT_PTR_NULL(json_writer_end(&writer));
}

/* What there was no memory for makes the whole one that can't be printed, and is no null. */
static void test_missing(void)
{
	struct json_object *object = json_new_object(), *array = json_new_array();
	size_t length;

	json_add_made(object, "a", NULL);
	json_append_made(array, NULL);
	CU_ASSERT_PTR_NULL(json_print(object, &length));
	CU_ASSERT_PTR_NULL(json_print(array, &length));
	json_unref(object);
	json_unref(array);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"members", test_members},
		{"room", test_room},
		{"what is missing", test_missing},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "written objects", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
