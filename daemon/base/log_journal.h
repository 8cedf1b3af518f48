/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries to the journal, none of which is waited for.
 *
 * By its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), one datagram for an entry:
 * sd_journal_send() has no other errors and no more fields, but where journald does not read, as
 * while it is stopped, it waits without end (libsystemd 252 to 257).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct log_field;

struct log_journal {
	int fd; /* -1: none */
};

/* Whether stderr leads to the journal (systemd.exec(5), JOURNAL_STREAM). */
bool log_journal_is_stderr(void);
/* -errno where there can be no socket. */
int log_journal_open(struct log_journal *journal);
/* Of fields at most LOG_FIELDS_MAX. Returns 0, or a negative errno where it is lost; -EAGAIN: for
 * the moment. */
int log_journal_write(const struct log_journal *journal, int level, const char *message,
	const struct log_field *fields, size_t count);
