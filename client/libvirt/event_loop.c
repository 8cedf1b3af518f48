/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's event loop. See event_loop.h.
 *
 * libvirt calls it with numbers that it has given out, and without a context. So what it watches is
 * in lists of the program's.
 */
#include "client/libvirt/event_loop.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kernel/base/tree.h"

/* A file, or a time. */
struct watch {
	TAILQ_ENTRY(watch) link;
	int number;
	int fd; /* -1: a time */
	struct event *event;
	virEventHandleCallback on_file;
	virEventTimeoutCallback on_time;
	void *opaque;
	virFreeCallback free_opaque;
};

TAILQ_HEAD(watch_list, watch);

static struct {
	struct event_base *base;
	struct watch_list watches;
	int last_number;
} loop = {.watches = TAILQ_HEAD_INITIALIZER(loop.watches)};

static int to_libvirt(short what)
{
	int events = 0;

	if (what & EV_READ)
		events |= VIR_EVENT_HANDLE_READABLE;
	if (what & EV_WRITE)
		events |= VIR_EVENT_HANDLE_WRITABLE;
	return events;
}

/* Errors and hang-ups are told with either. */
static short from_libvirt(int events)
{
	short what = EV_PERSIST;

	if (events & (VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP))
		what |= EV_READ;
	if (events & VIR_EVENT_HANDLE_WRITABLE)
		what |= EV_WRITE;
	return what;
}

/* It may be removed by what it calls. */
static void happened(evutil_socket_t fd, short what, void *context)
{
	const struct watch *watch = context;

	if (watch->fd < 0)
		watch->on_time(watch->number, watch->opaque);
	else
		watch->on_file(watch->number, (int)fd, to_libvirt(what), watch->opaque);
}

static struct watch *find(int number, bool is_file)
{
	struct watch *watch;

	TAILQ_FOREACH (watch, &loop.watches, link) {
		if (watch->number == number && (watch->fd >= 0) == is_file)
			return watch;
	}
	return NULL;
}

static struct watch *watch_new(int fd, void *opaque, virFreeCallback free_opaque)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return NULL;
	watch->event = event_new(loop.base, fd, EV_PERSIST, happened, watch);
	if (!watch->event) {
		free(watch);
		return NULL;
	}
	watch->fd = fd;
	watch->opaque = opaque;
	watch->free_opaque = free_opaque;
	watch->number = ++loop.last_number;
	TAILQ_INSERT_TAIL(&loop.watches, watch, link);
	return watch;
}

/* Called by the loop: libvirt may hold locks when it removes a watch that freeing takes. */
static void watch_free(evutil_socket_t fd, short what, void *context)
{
	struct watch *watch = context;

	(void)fd;
	(void)what;
	if (watch->free_opaque)
		watch->free_opaque(watch->opaque);
	event_free(watch->event);
	free(watch);
}

static int watch_remove(struct watch *watch)
{
	const struct timeval at_once = {.tv_sec = 0};

	if (!watch)
		return -1;
	TAILQ_REMOVE(&loop.watches, watch, link);
	event_del(watch->event);
	event_assign(watch->event, loop.base, -1, 0, watch_free, watch);
	return event_add(watch->event, &at_once);
}

/* events 0: none for now. */
static void watch_file(struct watch *watch, int events)
{
	event_del(watch->event);
	if (events == 0)
		return;
	event_assign(watch->event, loop.base, watch->fd, from_libvirt(events), happened, watch);
	event_add(watch->event, NULL);
}

/* Each so many milliseconds; 0: in each turn of the loop; less: never. */
static void watch_time(struct watch *watch, int period)
{
	const struct timeval time = {period / 1000, period % 1000 * 1000L};

	event_del(watch->event);
	if (period >= 0)
		event_add(watch->event, &time);
}

static int add_file(int fd, int events, virEventHandleCallback callback, void *opaque,
	virFreeCallback free_opaque)
{
	struct watch *watch = watch_new(fd, opaque, free_opaque);

	if (!watch)
		return -1;
	watch->on_file = callback;
	watch_file(watch, events);
	return watch->number;
}

static void update_file(int number, int events)
{
	struct watch *watch = find(number, /* is_file= */ true);

	if (watch)
		watch_file(watch, events);
}

static int remove_file(int number)
{
	return watch_remove(find(number, /* is_file= */ true));
}

static int add_time(
	int period, virEventTimeoutCallback callback, void *opaque, virFreeCallback free_opaque)
{
	struct watch *watch = watch_new(-1, opaque, free_opaque);

	if (!watch)
		return -1;
	watch->on_time = callback;
	watch_time(watch, period);
	return watch->number;
}

static void update_time(int number, int period)
{
	struct watch *watch = find(number, /* is_file= */ false);

	if (watch)
		watch_time(watch, period);
}

static int remove_time(int number)
{
	return watch_remove(find(number, /* is_file= */ false));
}

void event_loop_use(struct event_base *base)
{
	loop.base = base;
	virEventRegisterImpl(
		add_file, update_file, remove_file, add_time, update_time, remove_time);
}
