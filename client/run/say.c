/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a launcher says. See say.h.
 */
#include "client/run/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/gmem.h"
#include "protocol/text.h"

void say_error(const char *what, const char *why)
{
	char printable[256];

	text_copy_printable(what, printable, sizeof printable);
	fprintf(stderr, "%s: %s: %s\n", run_program, printable, why);
}

int say_call_failed(const char *what, int r)
{
	const char *message = gmem_last_message();
	char refusal[1280];

	if (r == -EREMOTEIO) {
		snprintf(refusal, sizeof refusal, "gmemd refused: %s", message);
		message = refusal;
	}
	say_error(what, message[0] ? message : strerror(-r));
	return EXIT_FAILED;
}
