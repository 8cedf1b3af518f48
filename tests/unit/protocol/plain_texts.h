/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What readers of plain texts are tested with: which they read, and whether they read those, and
 * texts that are nearly such, as the whole reader does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/unit.h"

#define PLAIN_TEXTS_STEPS  300000
#define PLAIN_TEXTS_LENGTH 256

struct plain_texts {
	const char *const *plain; /* all of them, shorter than PLAIN_TEXTS_LENGTH by some */
	size_t n_plain;
	const char *const *other; /* all that is left to the whole reader, be it good or bad */
	size_t n_other;
	bool (*is_plain)(const char *text, size_t length);
	/* As the whole reader reads it, where this one does. */
	bool (*agrees)(const char *text, size_t length);
};

static inline void plain_texts_check_which(const struct plain_texts *texts)
{
	for (size_t i = 0; i < texts->n_plain; i++)
		UNIT_ASSERT_ROW(
			texts->is_plain(texts->plain[i], strlen(texts->plain[i])), "plain %zu", i);
	for (size_t i = 0; i < texts->n_other; i++)
		UNIT_ASSERT_ROW(
			!texts->is_plain(texts->other[i], strlen(texts->other[i])), "other %zu", i);
	/* The NUL of a C string is no part of it, and none is white space. */
	CU_ASSERT_FALSE(texts->is_plain(texts->plain[0], strlen(texts->plain[0]) + 1));
}

/* One character is put in, taken out or made another. There must be room for one. */
static inline void plain_texts_change(char *text, size_t *length)
{
	static const char some[] = "{}[],:\"\\ \t\n\r0123456789.eE+-_azAZ\x80\x1f";
	size_t at = (size_t)random() % (*length + 1);

	switch (random() % 3) {
	case 0:
		if (at < *length)
			text[at] = some[(size_t)random() % sizeof some];
		break;
	case 1:
		memmove(text + at, text + at + 1, *length - at);
		*length -= at < *length;
		break;
	default:
		memmove(text + at + 1, text + at, *length - at);
		text[at] = some[(size_t)random() % sizeof some];
		++*length;
	}
}

static inline void plain_texts_check_random(const struct plain_texts *texts)
{
	unsigned seed = (unsigned)time(NULL), n_plain = 0;
	char text[PLAIN_TEXTS_LENGTH];

	printf("# SEED=%u\n", seed);
	srandom(seed);
	for (unsigned step = 0; step < PLAIN_TEXTS_STEPS; step++) {
		const char *from = texts->plain[(size_t)random() % texts->n_plain];
		size_t length = strlen(from);

		strcpy(text, from);
		for (long i = random() % 4; i > 0; i--)
			plain_texts_change(text, &length);
		n_plain += texts->is_plain(text, length);
		UNIT_ASSERT_ROW(texts->agrees(text, length), "%.*s", (int)length, text);
	}
	CU_ASSERT_TRUE(n_plain > PLAIN_TEXTS_STEPS / 5);
}
