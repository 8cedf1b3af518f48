/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursors of answers in pages.
 *
 * A cursor is "WORD:NUMBER": the number that the next page begins behind or at.
 */
#pragma once

#include "daemon/request/request.h"

/* Bytes of an answer that its lists may take. */
#define PAGE_BYTES_MAX 60000

/* False where it is none that page_cursor_add() has written. */
bool page_cursor_read(const char *cursor, const char *word, uint64_t *ret);
void page_cursor_add(struct json_object *result, const char *word, uint64_t number);
/* Fills in that it is none. */
int page_cursor_error(struct request *request);
