/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page of metrics. See page.h.
 */
#include "client/exporter/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/common/say.h"
#include "client/exporter/scrape.h"

/* A text younger than that is not made anew. */
#define FRESH_MS 1000

/* Pages of VMs are counted so often at most: a count takes gmemd time for each page. */
#define COUNT_MS 60000

/* By the page, and by each answer that is being sent. */
struct text {
	unsigned references;
	size_t length;
	char *bytes;
};

struct page {
	struct event_base *base;
	struct page_plan plan;
	struct text *text; /* NULL: none yet */
	uint64_t made;     /* milliseconds */
	uint64_t counted;  /* the same; 0: never */
	struct scrape *scrape;
	bool away; /* gmemd, when it was asked last */
	LIST_HEAD(, page_waiter) waiters;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void page_release(void *owner)
{
	struct text *text = owner;

	if (!text || --text->references > 0)
		return;
	free(text->bytes);
	free(text);
}

static struct text *text_new(char *take_bytes, size_t length)
{
	struct text *text = take_bytes ? malloc(sizeof *text) : NULL;

	if (text)
		*text = (struct text){.references = 1, .length = length, .bytes = take_bytes};
	else
		free(take_bytes);
	return text;
}

struct page *page_new(struct event_base *base, const struct page_plan *plan)
{
	struct page *page = calloc(1, sizeof *page);

	if (!page)
		return NULL;
	page->base = base;
	page->plan = *plan;
	LIST_INIT(&page->waiters);
	return page;
}

struct page *page_free(struct page *page)
{
	if (!page)
		return NULL;
	scrape_free(page->scrape);
	page_release(page->text);
	free(page);
	return NULL;
}

static void tell(const struct page *page, struct page_waiter *waiter)
{
	struct text *text = page->text;

	if (text)
		text->references++;
	waiter->ready(waiter, text ? text->bytes : NULL, text ? text->length : 0, text);
}

/* Once when it is away, once when it is back. */
static void say_whether_it_is_there(struct page *page, const char *why)
{
	if (why && !page->away)
		say(LOG_WARNING, "%s: gmemd is not up: %s", page->plan.socket, why);
	else if (!why && page->away)
		say(LOG_NOTICE, "%s: gmemd is up", page->plan.socket);
	page->away = why;
}

static void scraped(void *context, char *take_text, size_t length, const char *why)
{
	struct page *page = context;
	struct page_waiter *waiter;

	page->scrape = NULL;
	page_release(page->text);
	page->text = text_new(take_text, length);
	page->made = now_ms();
	say_whether_it_is_there(page, why);
	while ((waiter = LIST_FIRST(&page->waiters))) {
		LIST_REMOVE(waiter, link);
		tell(page, waiter);
	}
}

static void renew(struct page *page)
{
	struct scrape_plan plan = {
		.socket = page->plan.socket,
		.vms = page->plan.vms,
		.count = page->counted == 0 || now_ms() - page->counted >= COUNT_MS,
		.done = scraped,
		.context = page,
	};

	if (plan.count)
		page->counted = now_ms();
	if (scrape_begin(page->base, &plan, &page->scrape) < 0)
		scraped(page, NULL, 0, strerror(ENOMEM));
}

void page_ask(struct page *page, struct page_waiter *waiter)
{
	if (!page->scrape && page->text && now_ms() - page->made < FRESH_MS) {
		tell(page, waiter);
		return;
	}
	LIST_INSERT_HEAD(&page->waiters, waiter, link);
	if (!page->scrape)
		renew(page);
}

void page_forget(struct page_waiter *waiter)
{
	LIST_REMOVE(waiter, link);
}
