/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sentences on stderr. See say.h.
 */
#include "client/shim/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "protocol/text.h"

#define STATUS_FAILED 125
#define SENTENCE_MAX  1280

static void say_arguments(const char *format, va_list arguments)
{
	char sentence[SENTENCE_MAX], printable[SENTENCE_MAX], line[SENTENCE_MAX + 16];
	int length;

	vsnprintf(sentence, sizeof sentence, format, arguments);
	text_copy_printable(sentence, printable, sizeof printable);
	length = snprintf(line, sizeof line, "gmem-run: %s\n", printable);
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return;
}

void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_arguments(format, arguments);
	va_end(arguments);
}

void say_and_end(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_arguments(format, arguments);
	va_end(arguments);
	_exit(STATUS_FAILED);
}
