/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page files: the files of memories, for as long as anybody works on them.
 *
 * A memory and each job on its pages refer to one file, with one descriptor. Whoever drops the last
 * reference does not close it: that may free all pages which are there by then, and take seconds.
 * The page worker closes it (page_worker.h). Before that it empties the file in steps, but only
 * where the memory was released: a file that gmemd has lost sight of may be in use all the same, by
 * a VM that comes back with vm.resume, and one that it has sent to a peer is a second descriptor of
 * a memory that goes on. References are counted in the loop alone; the page worker has a job's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/owner/owner.h"

struct fdstore_closer;

struct page_file;

/* Closes files that may be large in the place of whoever drops the last reference, which is the
 * closing's then. It outlives them. */
struct page_file_closing {
	void (*begin)(struct page_file_closing *closing, struct page_file *file);
};

/* A file of the owner's, who is referred to. huge: its memory_file_huge(). The fd is taken on
 * success; closing may be NULL. NULL without memory. See page_closer.h. */
struct page_file *page_file_make(
	struct owner *owner, int consume_fd, uint64_t huge, struct page_file_closing *closing);
struct page_file *page_file_ref(struct page_file *file);
/* Takes NULL, returns NULL. */
struct page_file *page_file_unref(struct page_file *file);
/* Lists of files that are being closed, with a reference to each. page_file_pop() returns NULL
 * where there is none, and else the list's reference. */
void page_file_push(struct page_file **list, struct page_file *file);
struct page_file *page_file_pop(struct page_file **list);
/* The memory was released: its pages are nobody's any more. */
void page_file_set_released(struct page_file *file);
/* The owner's charge for the memory, which is no more, is the file's until it is closed. */
void page_file_take_charge(struct page_file *file);

/* Drops a reference, the caller's, once the keeper doesn't hold the file any more. */
struct fdstore_closer *page_file_closer(struct page_file *file);

struct owner *page_file_owner(const struct page_file *file);
int page_file_fd(const struct page_file *file);
/* Of its huge pages, in bytes; 0: it has the host's own. */
uint64_t page_file_huge(const struct page_file *file);
/* Whether page_file_set_released() has been called. */
bool page_file_is_released(const struct page_file *file);
/* Where the page worker is done with it. It is not to be used any more. */
void page_file_close(struct page_file *file);
