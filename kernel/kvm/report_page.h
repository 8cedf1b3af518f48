/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report page: where a VMM says what came of its VM's ioctls, without taking anybody's time.
 *
 * A small sealed memfd per VM, beside its mailbox, that the VMM writes and gmemd reads. Each entry
 * of the mailbox has a word of 64 bits, at a quarter of its distance from the mailbox's start:
 * those of slots are in the first page. Once an entry's ioctl has returned, the VMM writes the id
 * of the call that it is of there, or the id and REPORT_FAILED. A call is reported once all its
 * words say that they succeeded, or up to one that says it failed. Any other word is no report,
 * such as an earlier call's, for ids do not come again; so nothing is ever cleared.
 *
 * Whoever writes it can write anything, at any time, and so can whoever else is given the file: a
 * word is read once, and believed as far as call.done is. It can't be shrunk, so reading it never
 * fails. Words are the host's own; another layout would be a file of another name.
 *
 * Functions return 0 or a negative errno and write outputs only on success.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/kvm/mailbox.h"

#define REPORT_PAGE_NAME "gmemd-report-1"

/* Of an id that is less, which the ids of calls are. */
#define REPORT_FAILED (UINT64_C(1) << 63)

/* The words of one call's entries. */
struct report_place {
	uint64_t offset; /* bytes, of the first in the page */
	uint64_t stride; /* bytes from one to the next */
	unsigned count;
};

/* Those of such entries. */
struct report_place report_place_of(const struct mailbox *mailbox, enum mailbox_command command,
	unsigned entry, unsigned count);
/* The same by what a VMM is told: the first one's offset, and the entries' stride. */
struct report_place report_place_told(uint64_t offset, uint64_t entry_stride, unsigned count);

struct report_page;

/* One with nothing in it. Nobody but this user can open it again. */
int report_page_new(struct report_page **ret);
/* One that this user has made, whose fd belongs to it on success. -EBADMSG where it is none, or of
 * another layout. */
int report_page_open(int fd, struct report_page **ret);
/* For a VMM: any that gmemd has made, whose fd stays the caller's. -EBADMSG where it can be
 * none. */
int report_page_map(int fd, struct report_page **ret);
/* The same in the place of what it has shown, to threads that are writing it, too. Where it fails
 * it is as it was. */
int report_page_map_again(struct report_page *page, int fd);
/* Takes NULL, returns NULL. */
struct report_page *report_page_free(struct report_page *page);

/* Owned by the page; -1: it is only mapped. */
int report_page_fd(const struct report_page *page);
/* Bytes: the same for all of them. */
uint64_t report_page_length(void);

/* Whether a page has those words. */
bool report_place_is_right(const struct report_place *place);
/* That the first done ioctls of the call have succeeded, and, where failed, that the next has not.
 * The place must be right. */
void report_page_write(struct report_page *page, const struct report_place *place, uint64_t call,
	unsigned done, bool failed);
/* Whether the call is reported, as far as can be seen now. *ret_done: how many succeeded before one
 * failed, or all. */
bool report_page_read(struct report_page *page, const struct report_place *place, uint64_t call,
	unsigned *ret_done);
