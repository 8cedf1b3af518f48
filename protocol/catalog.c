/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints the journal's message catalogue of gmemd's acts (journalctl -x), from their table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/acts.h"

#define COLUMNS 80

static const char *const about[] = {
	[ACT_OF_VM] = "It is VM @GMEMD_VM@, UUID @GMEMD_UUID@, of tenant @GMEMD_TENANT@: process "
		      "@GMEMD_PID@ of user @GMEMD_UID@.",
	[ACT_OF_PEER] = "It is process @GMEMD_PID@ of user @GMEMD_UID@, of tenant @GMEMD_TENANT@.",
	[ACT_OF_USER] = "It is user @GMEMD_UID@, of tenant @GMEMD_TENANT@.",
	[ACT_OF_HOST] = NULL,
};

/* In lines of a terminal's width. */
static void print_paragraph(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column > 0 && column + 1 + length > COLUMNS) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%s%.*s", column > 0 ? " " : "", (int)length, text);
		text += length;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_act(const struct act_description *act)
{
	printf("\n-- %s\nSubject: %s\nDefined-By: gmemd\n\n", act->message_id, act->subject);
	print_paragraph(act->summary);
	if (about[act->whose]) {
		putchar('\n');
		print_paragraph(about[act->whose]);
	}
	putchar('\n');
	print_paragraph(act->advice);
}

int main(void)
{
	puts("# What gmemd writes to the journal of its acts.");
	for (unsigned act = 0; act < ACTS; act++)
		print_act(&act_descriptions[act]);
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
