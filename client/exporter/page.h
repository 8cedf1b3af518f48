/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page of metrics: a text that is made anew when somebody asks for it and it is old. Whoever
 * asks meanwhile gets the same, so gmemd is asked once however many ask.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct page;

struct page_plan {
	const char *socket; /* gmemd's, for operators */
	bool vms;
};

/* Who waits for it. */
struct page_waiter {
	LIST_ENTRY(page_waiter) link;
	/* text NULL: without memory. It stays as it is until page_release(owner) */
	void (*ready)(struct page_waiter *waiter, const char *text, size_t length, void *owner);
};

/* NULL without memory. */
struct page *page_new(struct event_base *base, const struct page_plan *plan);
/* Those who wait are told of nothing any more. Takes NULL, returns NULL. */
struct page *page_free(struct page *page);

/* ready may be called before it returns. */
void page_ask(struct page *page, struct page_waiter *waiter);
/* It waits no more; before it was told. */
void page_forget(struct page_waiter *waiter);
/* The owner of a text that was told. */
void page_release(void *owner);
