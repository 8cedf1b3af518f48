/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursors of answers in pages. See page_cursor.h.
 */
#include "daemon/request/page_cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/json.h"

#define CURSOR_SIZE 64

static void cursor_write(char *ret, const char *word, uint64_t number)
{
	snprintf(ret, CURSOR_SIZE, "%s:%" PRIu64, word, number);
}

bool page_cursor_read(const char *cursor, const char *word, uint64_t *ret)
{
	size_t length = strlen(word);
	char again[CURSOR_SIZE];
	uint64_t number;

	if (strncmp(cursor, word, length) != 0 || cursor[length] != ':')
		return false;
	if (sscanf(cursor + length + 1, "%" SCNu64, &number) != 1)
		return false;
	cursor_write(again, word, number);
	if (strcmp(again, cursor) != 0)
		return false;
	*ret = number;
	return true;
}

void page_cursor_add(struct json_object *result, const char *word, uint64_t number)
{
	char cursor[CURSOR_SIZE];

	cursor_write(cursor, word, number);
	json_add_string(result, "cursor", cursor);
}

int page_cursor_error(struct request *request)
{
	return rpc_error_invalid_param(
		&request->error, "cursor", "the cursor of an earlier answer");
}
