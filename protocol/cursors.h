/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursors of an answer in pages, by who asks for them: one that comes again would have it ask
 * for ever.
 */
#pragma once

#include <stdbool.h>

struct json_object;

/* All zeroes: none has come. */
struct cursors {
	struct json_object *seen;
};

void cursors_clear(struct cursors *cursors);
/* Takes note of one that has come. -ELOOP where it came before, -ENOMEM. */
int cursors_note(struct cursors *cursors, const char *cursor);
