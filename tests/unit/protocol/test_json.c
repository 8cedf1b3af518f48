/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON: what is a value and what is not, and that values come back as they were.
 */
#include "protocol/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

/* Text of a known length, so that it can hold NUL. */
#define TEXT(literal)                                                                              \
	{                                                                                          \
		literal, sizeof literal - 1                                                        \
	}

struct text {
	const char *bytes;
	size_t length;
};

static struct json_object *parse(const char *text)
{
	const char *why;

	return json_parse(text, strlen(text), &why);
}

/* Parsed and printed again, it is the same text. */
static void test_round_trip(void)
{
	static const char *const texts[] = {"{}", "[]", "\"\"", "0", "-1", "true", "false", "1.5",
		"-9223372036854775808", "9223372036854775807", "18446744073709551615", "1e5",
		"[null,{\"a\":[{}]}]", "{\"a\":1,\"b\":{\"c\":[1,2,3]}}", "\"a/b\"", "\"\xc3\xa4\"",
		"\"\xe2\x82\xac\"", "\"\xf0\x9f\x98\x80\"", "\"\xf4\x8f\xbf\xbf\"",
		"\"\xed\x9f\xbf\"", "\"\xee\x80\x80\"", "\"\xdf\xbf\"", "\"\xc2\x80\"",
		"\"\xe0\xa0\x80\"", "\"\xf0\x90\x80\x80\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\"",
		"\"'NaN' Infinity // {[\"", "\"\\u0001\""};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct json_object *value = parse(texts[i]);
		size_t length = 0;

		UNIT_ASSERT_ROW(value && strcmp(json_print(value, &length), texts[i]) == 0 &&
					length == strlen(texts[i]),
			"%s became %s", texts[i], value ? json_print(value, &length) : "nothing");
		json_unref(value);
	}
}

static void test_white_space(void)
{
	static const char *const texts[] = {
		" 1", "1 ", "\t\r\n 1\n", " [ 1 , 2 ] ", "{ \"a\" :\t1 }\r\n", " \"a\" "};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct json_object *value = parse(texts[i]);

		UNIT_ASSERT_ROW(value != NULL, "\"%s\"", texts[i]);
		json_unref(value);
	}
}

static void test_no_json(void)
{
	static const struct text texts[] = {TEXT(""), TEXT(" "), TEXT("null"), TEXT("{"), TEXT("["),
		TEXT("]"), TEXT("}"), TEXT("[}"), TEXT("{]"), TEXT("[1"), TEXT("[1,"), TEXT("[1,]"),
		TEXT("[,1]"), TEXT("[1 2]"), TEXT("[1,,2]"), TEXT("{\"a\"}"), TEXT("{\"a\":}"),
		TEXT("{\"a\":1,}"), TEXT("{,}"), TEXT("{1:2}"), TEXT("{a:1}"), TEXT("{\"a\" 1}"),
		TEXT("{\"a\":1 \"b\":2}"), TEXT("'a'"), TEXT("{'a':1}"), TEXT("\"a"), TEXT("a\""),
		TEXT("\"a\\\""), TEXT("\"\\x\""), TEXT("\"\\u12\""), TEXT("\"\\u12g4\""),
		TEXT("\"\\"), TEXT("tru"), TEXT("True"), TEXT("TRUE"), TEXT("truefalse"),
		TEXT("nul"), TEXT("NaN"), TEXT("nan"), TEXT("-NaN"), TEXT("Infinity"),
		TEXT("-Infinity"), TEXT("+1"), TEXT("-"), TEXT("--1"), TEXT("1-"), TEXT("1-2"),
		TEXT("01"), TEXT("-01"), TEXT("00"), TEXT(".5"), TEXT("1."), TEXT("-.5"),
		TEXT("1.e5"), TEXT("1e"), TEXT("1e+"), TEXT("1e5.5"), TEXT("1E5E5"), TEXT("0x10"),
		TEXT("1 2"), TEXT("{}{}"), TEXT("{} x"), TEXT("[] ]"), TEXT("1,"), TEXT("/* */ 1"),
		TEXT("1 // x"), TEXT("# 1"), TEXT("\xef\xbb\xbf{}"), TEXT("\v1"), TEXT("\f1"),
		TEXT("1\0"), TEXT("\0"), TEXT("{}\0"), TEXT("[1,\0 2]"), TEXT("1\0 2"),
		TEXT("{\"a\"\0:1}")};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const char *why = NULL;
		struct json_object *value = json_parse(texts[i].bytes, texts[i].length, &why);
		size_t length;

		UNIT_ASSERT_ROW(!value && why && why[0], "\"%.*s\" became %s", (int)texts[i].length,
			texts[i].bytes, value ? json_print(value, &length) : "nothing, but why");
		json_unref(value);
	}
}

static void test_strings_that_are_none(void)
{
	static const struct text texts[] = {TEXT("\"a\nb\""), TEXT("\"\t\""), TEXT("\"\x1f\""),
		TEXT("\"a\0b\""), TEXT("\"\\u0000\""), TEXT("\"a\\u0000\""),
		TEXT("[\"a\\u0000b\"]"), TEXT("{\"a\":[{\"b\":\"\\u0000\"}]}"),
		TEXT("{\"vm\\u0000x\":1}"), TEXT("[{\"a\":{\"\\u0000\":1}}]"),
		TEXT("\"\\\\\\u0000\"")};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const char *why = NULL;
		struct json_object *value = json_parse(texts[i].bytes, texts[i].length, &why);

		UNIT_ASSERT_ROW(!value && why, "text %zu: %s", i, texts[i].bytes);
		json_unref(value);
	}
}

/* Half a pair is no character; what is made of it must be UTF-8 all the same, for it is said
 * back. */
static void test_lone_surrogates(void)
{
	static const char *const texts[] = {"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\"",
		"\"\\ud800x\"", "\"\\udc00\\ud800\"", "\"\\ud800\\n\"", "{\"\\udfff\":1}"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct json_object *value = parse(texts[i]), *again;
		size_t length;

		if (!value)
			continue;
		again = parse(json_print(value, &length));
		UNIT_ASSERT_ROW(again != NULL, "%s", texts[i]);
		json_unref(again);
		json_unref(value);
	}
}

/* A backslash before it makes \u0000 five harmless characters. */
static void test_no_nul(void)
{
	struct json_object *value = parse("\"\\\\u0000\"");

	CU_ASSERT_STRING_EQUAL(json_string(value), "\\u0000");
	json_unref(value);
}

static void test_no_utf8(void)
{
	static const char *const sequences[] = {"\x80", "\xbf", "\xc3", "\xc3\x28", "\xe2\x82",
		"\xe2\x28\xa1", "\xf0\x9f\x98", "\xff", "\xfe", "\xf8\x88\x80\x80\x80", "\xc0\x80",
		"\xc0\xaf", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\xbd\xed\xb8\x80",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf7\xbf\xbf\xbf", "a\xc3\xa4\x80"};

	for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
		char value_text[32], name_text[32];
		struct json_object *value, *named;

		snprintf(value_text, sizeof value_text, "\"%s\"", sequences[i]);
		snprintf(name_text, sizeof name_text, "{\"%s\":1}", sequences[i]);
		value = parse(value_text);
		named = parse(name_text);
		UNIT_ASSERT_ROW(!value && !named, "sequence %zu", i);
		json_unref(value);
		json_unref(named);
	}
}

static void nested(char *text, size_t depth, char open, char close)
{
	memset(text, open, depth);
	memset(text + depth, close, depth);
	text[2 * depth] = '\0';
}

/* Whatever spelling, depth and value they have. */
static void test_duplicates(void)
{
	static const char *const wrong[] = {"{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"a\":null}",
		"{\"a\":{},\"\\u0061\":[]}", "[1,{\"x\":{\"b\":1,\"b\":1}}]", "{\":\":1,\":\":2}"};
	static const char *const right[] = {"{\"a\":1,\"A\":1}", "[{\"a\":1},{\"a\":1}]",
		"{\"a\":{\"a\":{\"a\":1}}}", "{\"a:b\":\":\",\"a\":\"a\"}"};
	struct json_object *value;
	const char *why;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		value = json_parse(wrong[i], strlen(wrong[i]), &why);
		UNIT_ASSERT_ROW(!value && strstr(why, "two members"), "%s", wrong[i]);
	}
	for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
		value = parse(right[i]);
		UNIT_ASSERT_ROW(value != NULL, "%s", right[i]);
		json_unref(value);
	}
}

static void test_printable(void)
{
	struct json_object *value =
		parse("{\"\\u001b\":[\"a\\u202eb\",1,null,{\"x\":\"\\n\"}],\"y\":true}");

	value = json_make_printable(value);
	CU_ASSERT_STRING_EQUAL(json_print(value, NULL),
		"{\"\\\\u{1B}\":[\"a\\\\u{202E}b\",1,null,{\"x\":\"\\\\u{A}\"}],\"y\":true}");
	json_unref(value);
}

static void test_depth(void)
{
	char text[2 * 5000 + 1];
	struct json_object *value;

	nested(text, JSON_DEPTH_MAX, '[', ']');
	value = parse(text);
	CU_ASSERT_PTR_NOT_NULL(value);
	json_unref(value);
	nested(text, JSON_DEPTH_MAX + 1, '[', ']');
	CU_ASSERT_PTR_NULL(parse(text));
	nested(text, 5000, '[', ']');
	CU_ASSERT_PTR_NULL(parse(text));
	/* Side by side is not deep, nor are brackets in a string. */
	value = parse("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]");
	CU_ASSERT_EQUAL(json_length(value), 20);
	json_unref(value);
	value = parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"");
	CU_ASSERT_PTR_NOT_NULL(value);
	json_unref(value);
}

/* The length counts, not a NUL; what lies behind is not read. */
static void test_length(void)
{
	const char *why;
	struct json_object *value = json_parse("12345", 2, &why);
	uint64_t number = 0;

	CU_ASSERT_TRUE(json_uint(value, &number));
	CU_ASSERT_EQUAL(number, 12);
	json_unref(value);
	CU_ASSERT_PTR_NULL(json_parse("[1]", 2, &why));
	value = json_parse("{}garbage", 2, &why);
	CU_ASSERT_TRUE(json_is_object(value));
	json_unref(value);
}

/* Reading */

static void test_integers(void)
{
	static const struct {
		const char *text;
		bool is_uint;
		uint64_t number;
	} rows[] = {{"0", true, 0}, {"1", true, 1}, {"9223372036854775807", true, INT64_MAX},
		{"9223372036854775808", true, (uint64_t)INT64_MAX + 1},
		{"18446744073709551615", true, UINT64_MAX}, {"-1", false, 0},
		{"-9223372036854775808", false, 0}, {"1.0", false, 0}, {"1e3", false, 0},
		{"18446744073709551616", true, UINT64_MAX}, {"-9223372036854775809", false, 0},
		{"99999999999999999999999999999", true, UINT64_MAX}, {"\"1\"", false, 0},
		{"true", false, 0}, {"[1]", false, 0}, {"{}", false, 0}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct json_object *value = parse(rows[i].text);
		uint64_t number = 77;
		bool is = json_uint(value, &number);

		UNIT_ASSERT_ROW(is == rows[i].is_uint && number == (is ? rows[i].number : 77),
			"%s: %" PRIu64, rows[i].text, number);
		json_unref(value);
	}
	CU_ASSERT_FALSE(json_uint(NULL, &(uint64_t){0}));
}

static void test_types(void)
{
	static const struct {
		const char *text;
		bool object, array, string, integer, number, boolean;
	} rows[] = {{"{}", .object = true}, {"[]", .array = true}, {"\"\"", .string = true},
		{"1", .integer = true, .number = true}, {"1.5", .number = true},
		{"false", .boolean = true}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct json_object *value = parse(rows[i].text);

		UNIT_ASSERT_ROW(json_is_object(value) == rows[i].object &&
					json_is_array(value) == rows[i].array &&
					json_is_string(value) == rows[i].string &&
					json_is_integer(value) == rows[i].integer &&
					json_is_number(value) == rows[i].number &&
					json_is_bool(value) == rows[i].boolean,
			"%s", rows[i].text);
		json_unref(value);
	}
	CU_ASSERT_FALSE(json_is_object(NULL) || json_is_array(NULL) || json_is_string(NULL) ||
			json_is_integer(NULL) || json_is_number(NULL) || json_is_bool(NULL));
}

static void test_members(void)
{
	struct json_object *object =
		parse("{\"s\":\"text\",\"u\":7,\"i\":-7,\"t\":true,\"n\":null,\"o\":{\"u\":8}}");
	uint64_t number = 77;
	int64_t signed_number = 77;

	CU_ASSERT_STRING_EQUAL(json_get_string(object, "s"), "text");
	CU_ASSERT_STRING_EQUAL(json_get_string(object, "u"), "");
	CU_ASSERT_STRING_EQUAL(json_get_string(object, "none"), "");
	CU_ASSERT_FALSE(json_get_uint(object, "s", &number));
	CU_ASSERT_FALSE(json_get_uint(object, "i", &number));
	CU_ASSERT_EQUAL(number, 77);
	CU_ASSERT_TRUE(json_get_uint(json_get(object, "o"), "u", &number));
	CU_ASSERT_EQUAL(number, 8);
	CU_ASSERT_FALSE(json_get_int(object, "n", &signed_number));
	CU_ASSERT_TRUE(json_get_int(object, "i", &signed_number));
	CU_ASSERT_EQUAL(signed_number, -7);
	CU_ASSERT_TRUE(json_get_bool(object, "t"));
	CU_ASSERT_FALSE(json_get_bool(object, "u"));
	CU_ASSERT_TRUE(json_has(object, "n"));
	CU_ASSERT_PTR_NULL(json_get(object, "n"));
	CU_ASSERT_FALSE(json_has(object, "none"));
	CU_ASSERT_FALSE(json_has(json_get(object, "s"), "s"));
	CU_ASSERT_PTR_NULL(json_get(NULL, "s"));
	json_unref(object);
}

/* Building */

static void test_building(void)
{
	struct json_object *object = json_new_object(), *array;
	size_t length;

	json_add_string(object, "s", "text");
	json_add_string(object, "ns", NULL);
	json_add_uint(object, "u", UINT64_MAX);
	json_add_int(object, "i", INT64_MIN);
	json_add_bool(object, "b", true);
	json_add_null(object, "n");
	json_add_uint(json_add_object(object, "o"), "x", 1);
	array = json_add_array(object, "a");
	json_append_string(array, "e");
	json_add_bool(json_append_object(array), "f", false);
	json_append(array, NULL);
	CU_ASSERT_STRING_EQUAL(json_print(object, &length),
		"{\"s\":\"text\",\"ns\":null,\"u\":18446744073709551615,\"i\":-9223372036854775808,"
		"\"b\":true,\"n\":null,\"o\":{\"x\":1},\"a\":[\"e\",{\"f\":false},null]}");
	CU_ASSERT_EQUAL(json_length(array), 3);
	CU_ASSERT_STRING_EQUAL(json_string(json_at(array, 0)), "e");
	CU_ASSERT_PTR_NULL(json_at(array, 3));
	CU_ASSERT_EQUAL(json_length(object), 0);
	CU_ASSERT_PTR_NOT_NULL(strchr(json_print_pretty(object), '\n'));
	json_unref(object);
	CU_ASSERT_PTR_NULL(json_unref(NULL));
}

static void test_references(void)
{
	struct json_object *inner = json_new_object(), *outer = json_new_array();

	json_append(outer, json_ref(inner));
	json_add_uint(inner, "x", 1);
	CU_ASSERT_TRUE(json_has(json_at(outer, 0), "x"));
	json_unref(outer);
	CU_ASSERT_TRUE(json_has(inner, "x"));
	CU_ASSERT_PTR_NULL(json_unref(inner));
}

static bool collect(const char *name, struct json_object *value, void *context)
{
	(void)value;
	strcat(context, name);
	return strcmp(name, "c") != 0;
}

static void test_each(void)
{
	struct json_object *object = parse("{\"b\":1,\"a\":null,\"c\":2,\"d\":3}");
	char names[16] = "";

	CU_ASSERT_FALSE(json_each(object, collect, names));
	CU_ASSERT_STRING_EQUAL(names, "bac");
	CU_ASSERT_TRUE(json_each(NULL, collect, names));
	json_unref(object);
	object = parse("{\"x\":1}");
	CU_ASSERT_TRUE(json_each(object, collect, names));
	CU_ASSERT_STRING_EQUAL(names, "bacx");
	json_unref(object);
}

#define PARTS 8

/* Whether a part, or a name, is that value's text; a value that is null has no object. */
static bool is_text_of(const struct json_part *part, struct json_object *value)
{
	const char *why;
	struct json_object *parsed = json_parse(part->bytes, part->length, &why);
	size_t unused;
	bool same = parsed && value
			    ? strcmp(json_print(parsed, &unused), json_print(value, &unused)) == 0
			    : parsed == value;

	json_unref(parsed);
	return same;
}

/* An array is split exactly where it can be parsed, and its parts are its elements. */
static bool splits_as_parsed(const char *text, size_t length)
{
	struct json_part parts[PARTS];
	const char *why, *why_not = NULL;
	struct json_object *value = json_parse(text, length, &why);
	bool is_array = value && json_is_array(value), same;
	size_t count = SIZE_MAX;

	same = json_split(text, length, parts, PARTS, &count, &why_not) == is_array;
	same &= is_array ? count == json_length(value) : why_not && count == SIZE_MAX;
	for (size_t i = 0; same && is_array && i < count && i < PARTS; i++)
		same = is_text_of(&parts[i], json_at(value, i));
	json_unref(value);
	return same;
}

struct seen_members {
	const struct json_member *members;
	size_t count, at;
};

static bool is_next_member(const char *name, struct json_object *value, void *context)
{
	struct seen_members *seen = context;
	const struct json_member *member = &seen->members[seen->at++];
	struct json_object *names = json_new_array();
	bool same;

	if (seen->at > seen->count)
		return false;
	json_append_string(names, name);
	same = is_text_of(&member->name, json_at(names, 0)) && is_text_of(&member->value, value);
	json_unref(names);
	return same;
}

/* The same of an object. */
static bool object_splits_as_parsed(const char *text, size_t length)
{
	struct json_member members[PARTS];
	const char *why, *why_not = NULL;
	struct json_object *value = json_parse(text, length, &why);
	struct seen_members seen = {members, SIZE_MAX, 0};
	bool is_object = value && json_is_object(value), same;

	same = json_split_object(text, length, members, PARTS, &seen.count, &why_not) == is_object;
	if (is_object && seen.count <= PARTS)
		same &= json_each(value, is_next_member, &seen) && seen.at == seen.count;
	else if (!is_object)
		same &= why_not && seen.count == SIZE_MAX;
	json_unref(value);
	return same;
}

static void test_split_object(void)
{
	static const char *const texts[] = {"{}", " { } ", "{\"a\":1}",
		"{ \"a\" : 1 , \"b\":null }", "{\"a\":{\"b\":[{}]},\"c\":[]}",
		"{\"}\":\"{\",\"\\\"\":\"\\\\\"}", "{\"\\u00e4\":true}", "{\"\":0}", "[]", "1",
		"null", "", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{1:2}",
		"{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1}}", "{\"a\":1}x", "{\"a\":tru}", "{\"a",
		"{\"a\":01}", "{\"a\":[}"};
	static const char three[] = "{\"a\":[1],\"b\":2,\"c\":3}";
	struct json_member members[2];
	const char *why;
	size_t count = 0;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		UNIT_ASSERT_ROW(
			object_splits_as_parsed(texts[i], strlen(texts[i])), "%s", texts[i]);
	CU_ASSERT_TRUE(json_split_object(three, sizeof three - 1, members, 2, &count, &why));
	CU_ASSERT_EQUAL(count, 3);
	CU_ASSERT_TRUE(json_part_is(&members[0].name, "\"a\""));
	CU_ASSERT_TRUE(json_part_is(&members[0].value, "[1]"));
	CU_ASSERT_FALSE(json_part_is(&members[0].value, "[1"));
	CU_ASSERT_FALSE(json_part_is(&members[0].value, "[1]x"));
	CU_ASSERT_TRUE(json_part_is(&members[1].value, "2"));
}

static void test_split(void)
{
	static const char *const texts[] = {"[]", " [ ] ", "[1]", "[1,2,3]", "[ 1 , \"a\" ,null ]",
		"[[],{},[[1]],{\"a\":[1,2],\"b\":{}}]", "[\"],[\",\"\\\"\",\"\\\\\"]",
		"[true,false,null,-1.5e+3,0]", "[1,2,3,4,5,6,7,8,9,10]", "[\"\\u00e4\\n\"]", "{}",
		"1", "null", "", " ", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1,,2]",
		"[}", "[{]}", "[{\"a\"}]", "[{\"a\":}]", "[{\"a\":1,}]", "[{,}]", "[{1:2}]",
		"[{\"a\" 1}]", "[{\"a\":1 \"b\":2}]", "[1]]", "[1] x", "[1],[2]", "[tru]", "[nul]",
		"[truefalse]", "[\"\\x\"]", "[\"\\u12\"]", "[\"\\u12g4\"]", "[\"a]", "[01]", "[1.]",
		"[-]", "[\"\\u0000\"]", "[\"\n\"]"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		UNIT_ASSERT_ROW(splits_as_parsed(texts[i], strlen(texts[i])), "%s", texts[i]);
	CU_ASSERT_TRUE(json_begins_array(" \t\r\n[x", 6));
	CU_ASSERT_FALSE(json_begins_array("{[", 2));
	CU_ASSERT_FALSE(json_begins_array(" ", 1));
	CU_ASSERT_FALSE(json_begins_array("", 0));
}

/* A right text with a few characters changed, left out or doubled. Returns its length. */
static size_t make_nearly(const char *whole, char *ret)
{
	static const char characters[] = "[]{},:\"\\ 01-.eEtrufalsn\n\x01\xc3";
	size_t length = strlen(whole);

	memcpy(ret, whole, length);
	for (int edits = rand() % 4; edits > 0; edits--) {
		size_t at = (size_t)rand() % length;

		if (rand() % 3 > 0) {
			ret[at] = characters[(size_t)rand() % (sizeof characters - 1)];
		} else if (rand() % 2) {
			memmove(ret + at, ret + at + 1, --length - at);
		} else {
			memmove(ret + at + 1, ret + at, length++ - at);
		}
	}
	return length;
}

/* Texts that are nearly JSON, in which no two members get one name: each part is looked at for that
 * where it is parsed. */
static void test_split_random(void)
{
	static const char array[] =
		"[{\"a\":[1,-2.5e3,\"b\\n\\u00e4\"],\"longer\":{}},[ ],null,true ,"
		"\"],[\",[[{\"d\":false}]], 0]";
	static const char object[] =
		"{\"a\":[1,-2.5e3,\"b\\n\\u00e4\"],\"longer\":{} ,\"the longest\" : "
		"[{\"d}\":false},\"},{\",null ]}";
	char text[2 * sizeof object];

	srand(7);
	for (int i = 0; i < 200000; i++) {
		size_t length = make_nearly(array, text);

		UNIT_ASSERT_ROW(splits_as_parsed(text, length), "%.*s", (int)length, text);
		length = make_nearly(object, text);
		UNIT_ASSERT_ROW(object_splits_as_parsed(text, length), "%.*s", (int)length, text);
	}
}

int main(void)
{
	CU_TestInfo parsed[] = {
		{"round trip", test_round_trip},
		{"white space", test_white_space},
		{"no JSON", test_no_json},
		{"strings that are none", test_strings_that_are_none},
		{"an escaped backslash", test_no_nul},
		{"no UTF-8", test_no_utf8},
		{"two members of one name", test_duplicates},
		{"what is fit to be printed", test_printable},
		{"lone surrogates", test_lone_surrogates},
		{"depth", test_depth},
		{"length", test_length},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo values[] = {
		{"integers", test_integers},
		{"types", test_types},
		{"members", test_members},
		{"building", test_building},
		{"references", test_references},
		{"each member", test_each},
		{"splitting", test_split},
		{"splitting an object", test_split_object},
		{"splitting what is nearly JSON", test_split_random},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "JSON parsed", .pTests = parsed},
		{.pName = "JSON values", .pTests = values},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
