/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log: to the journal where it is what stderr leads to, else to stderr as "<level> message"
 * lines.
 *
 * Nobody waits for it: a line that can't be written at once is dropped and counted, and how many
 * were is said when a line can be written again. Levels are syslog(3)'s. Nothing else writes to the
 * journal or to stderr; libraries are silent. All of it is for the loop's thread alone.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

void log_open(void);
/* From now on it is also tried every second to say how many were dropped. -ENOMEM. */
int log_watch(struct event_base *base);
/* The base is about to end. */
void log_unwatch(void);

/* vm: the id of the VM that it is about, NULL where it is about none; GMEMD_VM= in the journal. */
__attribute__((format(printf, 3, 4))) void log_write(
	int level, const char *vm, const char *format, ...);

/* A field of an entry to the journal; to stderr goes none. */
struct log_field {
	const char *name, *value;
};

#define LOG_FIELDS_MAX 16

/* The same with fields; vm is one of them by the caller's doing. */
void log_entry(int level, const char *vm, const struct log_field *fields, size_t count,
	const char *message);

/* Whether there was an error, even if it was dropped. */
bool log_has_error(void);

#define log_error(...)          log_write(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...)        log_write(LOG_WARNING, NULL, __VA_ARGS__)
#define log_info(...)           log_write(LOG_INFO, NULL, __VA_ARGS__)
#define log_vm_warning(vm, ...) log_write(LOG_WARNING, vm, __VA_ARGS__)
#define log_vm_info(vm, ...)    log_write(LOG_INFO, vm, __VA_ARGS__)
