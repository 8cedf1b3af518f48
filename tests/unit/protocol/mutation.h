/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Texts that are nearly JSON, made of such as are.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* One character is put in, taken out or made another, by random(). There must be room for one. */
static inline void mutate(char *text, size_t *length)
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
