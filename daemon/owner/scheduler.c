/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scheduler. See scheduler.h.
 */
#include "daemon/owner/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/base/container_of.h"

/* Nanoseconds. A turn is over at the end of the work during which its time has passed. */
#define TURN_TIME (100 * 1000)
/* After so long, in turns, the loop looks for new events. */
#define LOOK_TIME (100 * 1000)

/* Users have the least, so that what they do delays neither the others, and still their part: they
 * can have VMs end without end. */
enum { CLASS_ENDS, CLASS_OPERATORS, CLASS_USERS, CLASSES };
static const unsigned weights[CLASSES] = {
	[CLASS_ENDS] = 2, [CLASS_OPERATORS] = 2, [CLASS_USERS] = 1};

struct scheduler {
	struct event *event;
	bool scheduled; /* the event will come, or is under way */
	struct share_class of_class[CLASSES];
	struct share_classes classes;
	uint64_t turn_end; /* UINT64_MAX: there is no turn */
};

static uint64_t monotonic_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Its owner may be freed by its last work: it is held meanwhile. */
static void serve_turn(struct scheduler *scheduler, struct share_node *leaf)
{
	struct owner *owner =
		owner_ref(CONTAINER_OF(TAILQ_FIRST(&leaf->queue), struct work, share)->owner);

	do {
		struct work *work = CONTAINER_OF(share_take_work(leaf), struct work, share);

		work->run(work);
	} while (share_waits(leaf) && !scheduler_turn_is_over(scheduler));
	owner_unref(owner);
}

static void serve_class(struct scheduler *scheduler, struct share_class *class, uint64_t *time)
{
	uint64_t began = *time;

	scheduler->turn_end = began + TURN_TIME;
	serve_turn(scheduler, share_take_turn(class->root));
	scheduler->turn_end = UINT64_MAX;
	*time = monotonic_ns();
	share_class_spend(class, *time - began);
}

static void serve_turns(evutil_socket_t fd, short what, void *context)
{
	static const struct timeval at_once;
	struct scheduler *scheduler = context;
	uint64_t time = monotonic_ns(), end = time + LOOK_TIME;
	struct share_class *class;

	(void)fd;
	(void)what;
	while ((class = share_class_next(&scheduler->classes)) && time < end)
		serve_class(scheduler, class, &time);
	scheduler->scheduled = class;
	/* As a timer, for what is made active here comes before new events are looked for. */
	if (class)
		event_add(scheduler->event, &at_once);
}

int scheduler_new(struct event_base *base, struct owners *owners, struct scheduler **ret)
{
	struct scheduler *scheduler = calloc(1, sizeof *scheduler);
	struct share_node *const roots[CLASSES] = {
		[CLASS_ENDS] = owners_root(owners, OWNER_ENDS, /* of_operators= */ false),
		[CLASS_OPERATORS] = owners_root(owners, OWNER_REQUESTS, true),
		[CLASS_USERS] = owners_root(owners, OWNER_REQUESTS, false)};

	if (!scheduler)
		return -ENOMEM;
	scheduler->turn_end = UINT64_MAX;
	scheduler->event = event_new(base, -1, 0, serve_turns, scheduler);
	if (!scheduler->event) {
		free(scheduler);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < CLASSES; i++)
		scheduler->of_class[i] =
			(struct share_class){.root = roots[i], .weight = weights[i]};
	scheduler->classes =
		(struct share_classes){.classes = scheduler->of_class, .count = CLASSES};
	*ret = scheduler;
	return 0;
}

struct scheduler *scheduler_free(struct scheduler *scheduler)
{
	if (!scheduler)
		return NULL;
	event_free(scheduler->event);
	free(scheduler);
	return NULL;
}

/* The event comes behind those that the loop has found already. */
static void schedule_turn(struct scheduler *scheduler)
{
	if (!scheduler->scheduled)
		event_active(scheduler->event, EV_TIMEOUT, 0);
	scheduler->scheduled = true;
}

void scheduler_ready(struct scheduler *scheduler, struct work *work)
{
	if (scheduler_has(work))
		return;
	share_add(owner_node(work->owner, OWNER_REQUESTS), &work->share);
	schedule_turn(scheduler);
}

void scheduler_go_on(struct scheduler *scheduler, struct work *work)
{
	if (scheduler_has(work))
		return;
	share_add_first(owner_node(work->owner, OWNER_REQUESTS), &work->share);
	schedule_turn(scheduler);
}

void scheduler_ready_to_release(struct scheduler *scheduler, struct work *work)
{
	if (scheduler_has(work))
		return;
	share_add(owner_node(work->owner, OWNER_ENDS), &work->share);
	schedule_turn(scheduler);
}

void scheduler_forget(struct work *work)
{
	share_remove(&work->share);
}

bool scheduler_has(const struct work *work)
{
	return work->share.leaf;
}

bool scheduler_turn_is_over(const struct scheduler *scheduler)
{
	return scheduler && monotonic_ns() >= scheduler->turn_end;
}
