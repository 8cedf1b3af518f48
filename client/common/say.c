/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines on stderr. See say.h.
 */
#include "client/common/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "protocol/text.h"

void say(int level, const char *format, ...)
{
	char line[1024], shown[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	/* What others have named is in it. */
	text_copy_printable(line, shown, sizeof shown);
	fprintf(stderr, "<%d>%s\n", level, shown);
}
