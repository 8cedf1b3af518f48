/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values as gmemctl prints them for people.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/ctl/program.h"

struct json_object;

#define TEXT_SIZE 320

enum text_kind {
	TEXT_PLAIN,  /* a string or number as it is */
	TEXT_STATE,  /* the same; on a terminal its colour says whether one should look at it */
	TEXT_NUMBER, /* the same, aligned to the right */
	TEXT_AGE,    /* of microseconds since the epoch: "3d4h" since then */
	TEXT_TIME,   /* microseconds since the epoch: "2024-02-29T13:14:15", local */
	TEXT_BYTES,  /* bytes: "1.5G", or all of them with --bytes */
	TEXT_HEX,    /* an address or offset */
	TEXT_NAMES,  /* an array of strings: "mmap,init_shared" */
};

/* "1 VM", "2 VMs". */
void text_of_count(
	uint64_t count, const char *one, const char *several, char ret[static TEXT_SIZE]);
/* "3d 4h", "5m 6s": the two largest units. */
void text_of_duration(uint64_t seconds, char ret[static TEXT_SIZE]);
/* "4K", "1.5G": in powers of 1024, with one decimal where that is not 0. */
void text_of_size(uint64_t bytes, char *ret, size_t size);
/* "-" where value is NULL (null, or not there). Truncates to size. */
void text_of_value(const struct ctl *ctl, enum text_kind kind, struct json_object *value, char *ret,
	size_t size);
/* Local time with its offset from UTC, of microseconds since the epoch:
 * "2024-02-29T13:14:15.000016+01:00". */
void text_of_time(uint64_t microseconds, char *ret, size_t size);

/*
 * What gmemd has sent, to be printed: its strings are printable, but where they are printed as JSON
 * alone, which print_json() makes printable. NULL where it is no JSON.
 */
struct json_object *text_read(const struct ctl *ctl, const char *text, size_t length);
/* Whether that made this name of what somebody has typed or copied. */
bool text_is_name(const char *read, const char *typed);

/* One line of JSON, printable. */
void print_json(FILE *file, struct json_object *value);
/* Prints a result: one line with --json, else indented. */
void print_value(const struct ctl *ctl, struct json_object *value);
