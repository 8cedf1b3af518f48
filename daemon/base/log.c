/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log. See log.h.
 */
#include "daemon/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/log_journal.h"
#include "daemon/base/log_stream.h"
#include "kernel/host/resource_limits.h"
#include "protocol/text.h"

static const struct timeval retry = {.tv_sec = 1};

/* The one thing of gmemd's that all its parts reach without being handed it. */
static struct {
	bool to_journal;
	struct log_journal journal;
	struct log_stream stream;
	uint64_t dropped; /* and not told yet */
	struct event *retrying;
	bool has_error;
} the_log = {.stream = {.fd = -1}};

static const char *const level_names[] = {
	"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};

/* What libevent would print to stderr. After an error it exits, with status 1. */
static void take_from_libevent(int severity, const char *message)
{
	char behind[160];

	limits_behind(errno, behind, sizeof behind);
	if (severity == EVENT_LOG_ERR)
		log_error("libevent: %s%s", message, behind);
	else if (severity != EVENT_LOG_DEBUG)
		log_warning("libevent: %s", message);
}

void log_open(void)
{
	event_set_log_callback(take_from_libevent);
	log_stream_open(&the_log.stream);
	the_log.to_journal = log_journal_is_stderr() && log_journal_open(&the_log.journal) == 0;
}

/* prefix: what says the level. */
static int write_line(const char *prefix, const char *vm, const char *message)
{
	char line[LOG_LINE_MAX + 1];

	snprintf(line, sizeof line, "%s%s%s%s", prefix, vm ? vm : "", vm ? ": " : "", message);
	return log_stream_write(&the_log.stream, line, strlen(line));
}

/* Where the journal's socket isn't to be had, as in a root directory of one's own, stderr still
 * leads there, with the level as sd-daemon(3) has it. */
static int write_journal(int level, const char *vm, const struct log_field *fields, size_t count,
	const char *message)
{
	char whole[LOG_LINE_MAX], prefix[8];
	int r;

	snprintf(whole, sizeof whole, "%s%s%s", vm ? vm : "", vm ? ": " : "", message);
	r = log_journal_write(&the_log.journal, level, whole, fields, count);
	if (r == 0 || r == -EAGAIN || r == -ENOBUFS)
		return r;
	snprintf(prefix, sizeof prefix, "<%d>", level);
	return write_line(prefix, vm, message);
}

static int write_one(int level, const char *vm, const struct log_field *fields, size_t count,
	const char *message)
{
	char prefix[32];

	if (the_log.to_journal)
		return write_journal(level, vm, fields, count, message);
	snprintf(prefix, sizeof prefix, "gmemd: %s: ", level_names[level]);
	return write_line(prefix, vm, message);
}

/* Before the next line, so that it stands where they would. */
static int tell_dropped(void)
{
	char message[128];
	int r;

	if (the_log.dropped == 0)
		return 0;
	snprintf(message, sizeof message,
		"%" PRIu64 " line%s of this log could not be written at once and %s dropped",
		the_log.dropped, the_log.dropped == 1 ? "" : "s",
		the_log.dropped == 1 ? "was" : "were");
	r = write_one(LOG_WARNING, NULL, NULL, 0, message);
	if (r == 0)
		the_log.dropped = 0;
	return r;
}

static void drop_line(void)
{
	the_log.dropped++;
	if (the_log.retrying && !event_pending(the_log.retrying, EV_TIMEOUT, NULL))
		event_add(the_log.retrying, &retry);
}

void log_entry(int level, const char *vm, const struct log_field *fields, size_t count,
	const char *message)
{
	char printable[2048];

	/* What a name brings along is to make no line of its own, nor move the cursor of a
	 * terminal. */
	text_copy_printable(message, printable, sizeof printable);
	the_log.has_error |= level <= LOG_ERR;
	if (tell_dropped() < 0 || write_one(level, vm, fields, count, printable) < 0)
		drop_line();
}

void log_write(int level, const char *vm, const char *format, ...)
{
	const struct log_field field = {"GMEMD_VM", vm};
	char message[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	log_entry(level, vm, &field, vm ? 1 : 0, message);
}

bool log_has_error(void)
{
	return the_log.has_error;
}

static void try_again(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	if (tell_dropped() < 0)
		event_add(the_log.retrying, &retry);
}

int log_watch(struct event_base *base)
{
	the_log.retrying = evtimer_new(base, try_again, NULL);
	if (!the_log.retrying || (the_log.dropped > 0 && event_add(the_log.retrying, &retry) < 0))
		return -ENOMEM;
	return 0;
}

void log_unwatch(void)
{
	if (the_log.retrying)
		event_free(the_log.retrying);
	the_log.retrying = NULL;
	tell_dropped();
}
