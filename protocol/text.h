/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that others have written: cut where characters end, and made fit to be printed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long the UTF-8 character at at is: of the shortest form, no surrogate, at most U+10FFFF. 0
 * where it is none. */
size_t text_character_length(const char *at, const char *end);

/* As much of text as has room, whole characters only; a byte that is part of none becomes '?'. */
void text_copy(const char *text, char *ret, size_t size);

/*
 * The same for a terminal, which is to show what there is and to do nothing else: control and
 * bidirectional characters, separators of lines and what Unicode has to be ignored, such as what is
 * of no width, become \u{…} with their number. Nothing of it is cut in the middle either.
 */
void text_copy_printable(const char *text, char *ret, size_t size);
/*
 * JSON in which such characters are \uXXXX, and which says the same: a line feed, which is outside
 * of strings there, stays. The caller frees it. NULL without memory.
 */
char *text_escape_json(const char *json);
