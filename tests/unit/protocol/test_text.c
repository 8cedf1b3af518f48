/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text of others, as it is cut and printed.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/text.h"
#include "tests/lib/unit.h"

struct row {
	const char *text;
	size_t size;
	const char *copied, *printable;
};

static const struct row rows[] = {
	{"", 16, "", ""},
	{"plain", 16, "plain", "plain"},
	{"plain", 3, "pl", "pl"},
	{"plain", 1, "", ""},
	{"näme", 3, "n", "n"},
	{"näme", 4, "nä", "nä"},
	{"\xff"
	 "a",
		16, "?a", "?a"},
	{"a\xc3", 16, "a?", "a?"},
	{"\xed\xa0\x80", 16, "???", "???"},
	{"\xc0\x80", 16, "??", "??"},
	{"a\tb\nc", 32, "a\tb\nc", "a\\u{9}b\\u{A}c"},
	{"\033[2J", 16, "\033[2J", "\\u{1B}[2J"},
	{"\033[2J", 6, "\033[2J", ""},
	{"\x7f\xc2\x85\xc2\x9b", 32, "\x7f\xc2\x85\xc2\x9b", "\\u{7F}\\u{85}\\u{9B}"},
	{"\u202eabc", 16, "\u202eabc", "\\u{202E}abc"},
	{"\u2066\u061c", 32, "\u2066\u061c", "\\u{2066}\\u{61C}"},
	{"\u200b\ufeff\u00ad", 32, "\u200b\ufeff\u00ad", "\\u{200B}\\u{FEFF}\\u{AD}"},
	{"\u2028\u2029", 32, "\u2028\u2029", "\\u{2028}\\u{2029}"},
	{"\U000e0041", 32, "\U000e0041", "\\u{E0041}"},
	{"日本 é \U0001f600", 32, "日本 é \U0001f600", "日本 é \U0001f600"},
};

static void test_rows(void)
{
	char text[64];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		text_copy(rows[i].text, text, rows[i].size);
		UNIT_ASSERT_ROW(
			strcmp(text, rows[i].copied) == 0, "row %zu: copied \"%s\"", i, text);
		text_copy_printable(rows[i].text, text, rows[i].size);
		UNIT_ASSERT_ROW(
			strcmp(text, rows[i].printable) == 0, "row %zu: printable \"%s\"", i, text);
	}
}

/* Whatever is made of any two bytes fits, ends, and has no control character. */
static void test_all_pairs(void)
{
	char in[3] = "", out[24];

	for (unsigned first = 1; first < 256; first++) {
		for (unsigned second = 1; second < 256; second++) {
			in[0] = (char)first;
			in[1] = (char)second;
			memset(out, 'x', sizeof out);
			text_copy_printable(in, out, sizeof out);
			CU_ASSERT_PTR_NOT_NULL_FATAL(memchr(out, '\0', sizeof out));
			for (const char *at = out; *at; at++)
				UNIT_ASSERT_ROW((unsigned char)*at >= 0x20 && *at != 0x7f,
					"%02x %02x", first, second);
		}
	}
}

/* It says the same, and one line feed stays: outside of strings. */
static void test_json(void)
{
	char *escaped = text_escape_json("{\n\"\x7f\":\"\u202e\U000e0041\u00e9\"}");

	CU_ASSERT_STRING_EQUAL(escaped, "{\n\"\\u007f\":\"\\u202e\\udb40\\udc41\u00e9\"}");
	free(escaped);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"rows", test_rows},
		{"all pairs of bytes", test_all_pairs},
		{"JSON", test_json},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "text", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
