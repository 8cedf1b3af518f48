/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries to the journal. See log_journal.h.
 */
#include "daemon/base/log_journal.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/log.h"

/* And the message. */
#define SIZES_MAX (LOG_FIELDS_MAX + 1)
/* A field has five: its name and that's end, its size, its value, its end. There is one for the
 * rest. */
#define PARTS_MAX (5 * SIZES_MAX + 1)

struct entry {
	struct iovec parts[PARTS_MAX];
	size_t n_parts;
	uint64_t sizes[SIZES_MAX]; /* as they are sent */
	size_t n_sizes;
};

bool log_journal_is_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat status;

	/* Set where stderr leads to the journal, and inherited by who has another: so compare. */
	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

int log_journal_open(struct log_journal *journal)
{
	journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return journal->fd < 0 ? -errno : 0;
}

static void add_part(struct entry *entry, const void *bytes, size_t length)
{
	entry->parts[entry->n_parts++] = (struct iovec){(void *)bytes, length};
}

/* In the form for values that may have any bytes, newlines too. */
static void add_field(struct entry *entry, const char *name, const char *value)
{
	size_t length = strlen(value);
	uint64_t *size = &entry->sizes[entry->n_sizes++];

	*size = htole64(length);
	add_part(entry, name, strlen(name));
	add_part(entry, "\n", 1);
	add_part(entry, size, sizeof *size);
	add_part(entry, value, length);
	add_part(entry, "\n", 1);
}

static int send_entry(const struct log_journal *journal, struct entry *entry)
{
	struct sockaddr_un address = {
		.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
	const struct msghdr packet = {.msg_name = &address,
		.msg_namelen = sizeof address,
		.msg_iov = entry->parts,
		.msg_iovlen = entry->n_parts};

	while (sendmsg(journal->fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int log_journal_write(const struct log_journal *journal, int level, const char *message,
	const struct log_field *fields, size_t count)
{
	struct entry entry = {.n_parts = 0};
	char fixed[64];

	snprintf(fixed, sizeof fixed, "SYSLOG_IDENTIFIER=gmemd\nPRIORITY=%d\n", level);
	add_part(&entry, fixed, strlen(fixed));
	add_field(&entry, "MESSAGE", message);
	for (size_t i = 0; i < count && i < LOG_FIELDS_MAX; i++)
		add_field(&entry, fields[i].name, fields[i].value);
	return send_entry(journal, &entry);
}
