/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values as gmemctl prints them. See text.h.
 */
#include "client/ctl/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/text.h"

void text_of_count(uint64_t count, const char *one, const char *several, char ret[static TEXT_SIZE])
{
	snprintf(ret, TEXT_SIZE, "%" PRIu64 " %s", count, count == 1 ? one : several);
}

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

void text_of_duration(uint64_t seconds, char ret[static TEXT_SIZE])
{
	if (seconds >= DAY)
		snprintf(ret, TEXT_SIZE, "%" PRIu64 "d %" PRIu64 "h", seconds / DAY,
			seconds % DAY / HOUR);
	else if (seconds >= HOUR)
		snprintf(ret, TEXT_SIZE, "%" PRIu64 "h %" PRIu64 "m", seconds / HOUR,
			seconds % HOUR / MINUTE);
	else if (seconds >= MINUTE)
		snprintf(ret, TEXT_SIZE, "%" PRIu64 "m %" PRIu64 "s", seconds / MINUTE,
			seconds % MINUTE);
	else
		snprintf(ret, TEXT_SIZE, "%" PRIu64 "s", seconds);
}

void text_of_size(uint64_t bytes, char *ret, size_t size)
{
	static const char units[] = "BKMGTPE";
	uint64_t tenths = bytes * 10;
	unsigned unit = 0;

	while (bytes >> (10 * unit) >= 1024)
		unit++;
	if (unit > 0) {
		uint64_t divisor = 1ull << (10 * unit);

		tenths = bytes / divisor * 10 + (bytes % divisor * 10 + divisor / 2) / divisor;
	}
	if (tenths == 10240 && units[unit + 1]) {
		tenths = 10;
		unit++;
	}
	if (tenths % 10 == 0)
		snprintf(ret, size, "%" PRIu64 "%c", tenths / 10, units[unit]);
	else
		snprintf(ret, size, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10,
			units[unit]);
}

static void text_of_names(const struct json_object *names, char *ret, size_t size)
{
	snprintf(ret, size, "%s", json_length(names) == 0 ? "-" : "");
	for (size_t i = 0; i < json_length(names); i++) {
		size_t used = strlen(ret);

		snprintf(ret + used, size - used, "%s%s", i > 0 ? "," : "",
			json_string(json_at(names, i)));
	}
}

/* In one word, for a table that is split at its spaces. */
static void text_of_age(uint64_t seconds, char *ret, size_t size)
{
	uint64_t now = (uint64_t)time(NULL);
	char text[TEXT_SIZE], *space;

	text_of_duration(now > seconds ? now - seconds : 0, text);
	space = strchr(text, ' ');
	if (space)
		memmove(space, space + 1, strlen(space));
	snprintf(ret, size, "%s", text);
}

static void text_of_second(uint64_t seconds, char *ret, size_t size)
{
	time_t second = (time_t)seconds;
	struct tm local;

	if (!localtime_r(&second, &local) || strftime(ret, size, "%Y-%m-%dT%H:%M:%S", &local) == 0)
		snprintf(ret, size, "%" PRIu64, seconds);
}

void text_of_value(const struct ctl *ctl, enum text_kind kind, struct json_object *value, char *ret,
	size_t size)
{
	uint64_t number;

	if (!value)
		snprintf(ret, size, "-");
	else if (kind == TEXT_NAMES && json_is_array(value))
		text_of_names(value, ret, size);
	else if (kind == TEXT_BYTES && !ctl->bytes && json_uint(value, &number))
		text_of_size(number, ret, size);
	else if (kind == TEXT_AGE && json_uint(value, &number))
		text_of_age(number / 1000000, ret, size);
	else if (kind == TEXT_TIME && json_uint(value, &number))
		text_of_second(number / 1000000, ret, size);
	else if (kind == TEXT_HEX && json_uint(value, &number))
		snprintf(ret, size, "0x%" PRIx64, number);
	else if (json_is_string(value))
		text_copy(json_string(value), ret, size);
	else
		snprintf(ret, size, "%s", json_print(value, NULL));
}

void text_of_time(uint64_t microseconds, char *ret, size_t size)
{
	time_t seconds = (time_t)(microseconds / 1000000);
	char date[32] = "", zone[8] = "+0000";
	struct tm local;

	if (localtime_r(&seconds, &local)) {
		strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
		strftime(zone, sizeof zone, "%z", &local);
	}
	snprintf(
		ret, size, "%s.%06" PRIu64 "%.3s:%s", date, microseconds % 1000000, zone, zone + 3);
}

/* Whether a terminal shows all of it, and with it each string that is there: what is not printable
 * stands in JSON as an escape or as more than ASCII. Most answers are so, and need no copy. */
static bool is_plain(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] < ' ' || text[i] > '~' || text[i] == '\\')
			return false;
	}
	return true;
}

struct json_object *text_read(const struct ctl *ctl, const char *text, size_t length)
{
	const char *why;
	struct json_object *value = json_parse(text, length, &why);

	if (!value || ctl->json || ctl->verbatim || is_plain(text, length))
		return value;
	return json_make_printable(value);
}

bool text_is_name(const char *read, const char *typed)
{
	char printable[TEXT_SIZE];

	if (strcmp(read, typed) == 0)
		return true;
	text_copy_printable(typed, printable, sizeof printable);
	return strcmp(read, printable) == 0;
}

static void print_escaped(FILE *file, const char *json)
{
	cleanup_free char *escaped = json ? text_escape_json(json) : NULL;

	fprintf(file, "%s\n", escaped ? escaped : "");
}

void print_json(FILE *file, struct json_object *value)
{
	print_escaped(file, json_print(value, NULL));
}

void print_value(const struct ctl *ctl, struct json_object *value)
{
	print_escaped(stdout, ctl->json ? json_print(value, NULL) : json_print_pretty(value));
}
