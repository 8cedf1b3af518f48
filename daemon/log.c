/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log. See log.h.
 */
/* The place of a message in this file is of no use to who reads the journal. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "daemon/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

static bool to_journal;

static const char *const level_names[] = {
	"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};

void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat status;

	/* systemd.exec(5): set where stderr leads to the journal, so compare before believing it.
	 */
	to_journal = stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
		     fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
		     status.st_ino == inode;
}

void log_write(int level, const char *vm, const char *format, ...)
{
	char message[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	if (to_journal && vm)
		sd_journal_send("MESSAGE=%s: %s", vm, message, "PRIORITY=%d", level, "GMEMD_VM=%s",
			vm, NULL);
	else if (to_journal)
		sd_journal_send("MESSAGE=%s", message, "PRIORITY=%d", level, NULL);
	else
		fprintf(stderr, "gmemd: %s: %s%s%s\n", level_names[level], vm ? vm : "",
			vm ? ": " : "", message);
}
