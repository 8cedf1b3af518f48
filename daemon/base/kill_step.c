/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps. See kill_step.h.
 */
#include "daemon/base/kill_step.h"

#ifdef GMEMD_KILL_STEPS

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/base/cleanup.h"

static void log_step(const char *label)
{
	const char *path = getenv("GMEMD_LOG_STEPS");
	cleanup_file FILE *file = path ? fopen(path, "ae") : NULL;

	if (file)
		fprintf(file, "%s\n", label);
}

/* The label that is fatal, and which time; "" where none is. */
static unsigned read_fatal(char label[static 256])
{
	const char *path = getenv("GMEMD_KILL_STEP");
	cleanup_file FILE *file = path ? fopen(path, "re") : NULL;
	unsigned time = 0;

	if (!file || fscanf(file, "%255[^\n]\n%u", label, &time) != 2)
		label[0] = '\0';
	return time;
}

static bool is_fatal(const char *label)
{
	static char last[256];
	static unsigned reached;
	char fatal[256];
	unsigned time = read_fatal(fatal);

	if (strcmp(fatal, last) != 0)
		reached = 0;
	strcpy(last, fatal);
	return strcmp(label, fatal) == 0 && ++reached == time;
}

void step_reached(const char *label)
{
	log_step(label);
	if (is_fatal(label))
		raise(SIGKILL);
}

#endif
