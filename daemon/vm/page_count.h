/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counting pages: bringing up to date how many each memory has.
 *
 * Nothing but a count tells that of a guest_memfd, and a count takes time for each page. So the
 * page worker counts where memories are large, and whoever wants to know is called back.
 */
#pragma once

#include "daemon/vm/registry.h"

struct page_count;

/* Counting in the owner's turns. NULL without memory. */
struct page_count *page_count_new(struct registry *registry, struct owner *owner);
/* Takes NULL, returns NULL. */
struct page_count *page_count_free(struct page_count *count);

/* Adds the VM's memories to those that are to be counted, and its closed ones. -ENOMEM. */
int page_count_add(struct page_count *count, const struct vm *vm);
/* Its closed ones alone. -ENOMEM. */
int page_count_add_closed(struct page_count *count, const struct vm *vm);

/* Has the count be over when it is found out what the VM's slots show, too. */
void page_count_await_views(struct page_count *count, struct vm *vm);

/* Counts, then calls done: at once where all of them are small, and nothing else is awaited. */
void page_count_run(struct page_count *take_count, void (*done)(void *context), void *context);
