/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk work. See page_worker.h.
 */
#include "daemon/pages/page_worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

#include "kernel/base/cleanup.h"

/* Nanoseconds. A turn is over at the end of the step during which its time has passed. */
#define TURN_TIME (2 * 1000 * 1000)

enum { CLASS_DEAD, CLASS_OPERATORS, CLASS_USERS, CLASSES };
static const unsigned weights[CLASSES] = {
	[CLASS_DEAD] = 16, [CLASS_OPERATORS] = 8, [CLASS_USERS] = 1};

struct bulk {
	struct scheduler *scheduler;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	/* Under the lock, with the owners' nodes. */
	struct share_class of_class[CLASSES];
	struct share_classes classes;
	struct share_queue finished;
	bool ending;

	/* The loop's. */
	struct bulk_job_list submitted;
	int finished_fd; /* an eventfd */
	struct event *event;
};

#define JOB_OF(member)      ((struct bulk_job *)((char *)(member)-offsetof(struct bulk_job, share)))
#define JOB_OF_WORK(member) ((struct bulk_job *)((char *)(member)-offsetof(struct bulk_job, work)))

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void enqueue(struct bulk_job *job)
{
	enum owner_tree tree = job->of_the_dead ? OWNER_DEAD_PAGES : OWNER_PAGES;

	share_add(owner_node(job->owner, tree), &job->share);
}

/* The thread */

/* False where it is done. */
static bool work_on(struct bulk_job *job, uint64_t end)
{
	do {
		if (!bulk_job_step(job))
			return false;
	} while (now() < end);
	return true;
}

/* Its owner is there for as long as the leaf has jobs, or the lock is held. */
static void serve_turn(struct bulk *bulk, struct share_node *leaf, uint64_t end)
{
	do {
		struct bulk_job *job = JOB_OF(share_take_work(leaf));
		bool more;

		pthread_mutex_unlock(&bulk->lock);
		more = work_on(job, end);
		pthread_mutex_lock(&bulk->lock);
		if (more) {
			enqueue(job);
			return;
		}
		TAILQ_INSERT_TAIL(&bulk->finished, &job->share, link);
		eventfd_write(bulk->finished_fd, 1);
	} while (share_waits(leaf) && now() < end && !bulk->ending);
}

static struct share_class *wait_for_class(struct bulk *bulk)
{
	struct share_class *class = NULL;

	while (!bulk->ending && !(class = share_class_next(&bulk->classes)))
		pthread_cond_wait(&bulk->more, &bulk->lock);
	return class;
}

static void *run(void *context)
{
	struct bulk *bulk = context;
	struct share_class *class;

	pthread_mutex_lock(&bulk->lock);
	while ((class = wait_for_class(bulk))) {
		uint64_t began = now();

		serve_turn(bulk, share_take_turn(class->root), began + TURN_TIME);
		share_class_spend(class, now() - began);
	}
	pthread_mutex_unlock(&bulk->lock);
	return NULL;
}

/* The loop */

static void end_job(struct bulk *bulk, struct bulk_job *job)
{
	TAILQ_REMOVE(&bulk->submitted, job, link);
	job->done(job);
}

static void run_done(struct work *work)
{
	struct bulk_job *job = JOB_OF_WORK(work);

	end_job(job->bulk, job);
}

static struct bulk_job *take_finished(struct bulk *bulk)
{
	struct share_work *work;

	pthread_mutex_lock(&bulk->lock);
	work = TAILQ_FIRST(&bulk->finished);
	if (work)
		TAILQ_REMOVE(&bulk->finished, work, link);
	pthread_mutex_unlock(&bulk->lock);
	return work ? JOB_OF(work) : NULL;
}

static void finished_event(evutil_socket_t fd, short what, void *context)
{
	struct bulk *bulk = context;
	struct bulk_job *job;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	while ((job = take_finished(bulk))) {
		if (job->of_the_dead)
			scheduler_ready_to_release(bulk->scheduler, &job->work);
		else
			scheduler_ready(bulk->scheduler, &job->work);
	}
}

static int bulk_start(struct event_base *base, struct bulk *bulk)
{
	bulk->event =
		event_new(base, bulk->finished_fd, EV_READ | EV_PERSIST, finished_event, bulk);
	if (!bulk->event || event_priority_set(bulk->event, SCHEDULER_FIRST) < 0 ||
		event_add(bulk->event, NULL) < 0)
		return -ENOMEM;
	return -pthread_create(&bulk->thread, NULL, run, bulk);
}

static void bulk_clear(struct bulk *bulk)
{
	if (bulk->event)
		event_free(bulk->event);
	fd_close(bulk->finished_fd);
	pthread_cond_destroy(&bulk->more);
	pthread_mutex_destroy(&bulk->lock);
	free(bulk);
}

static void set_up_classes(struct bulk *bulk, struct owners *owners)
{
	struct share_node *const roots[CLASSES] = {
		[CLASS_DEAD] = owners_root(owners, OWNER_DEAD_PAGES, /* of_operators= */ false),
		[CLASS_OPERATORS] = owners_root(owners, OWNER_PAGES, true),
		[CLASS_USERS] = owners_root(owners, OWNER_PAGES, false)};

	for (unsigned i = 0; i < CLASSES; i++)
		bulk->of_class[i] = (struct share_class){.root = roots[i], .weight = weights[i]};
	bulk->classes = (struct share_classes){.classes = bulk->of_class, .count = CLASSES};
}

int bulk_new(struct event_base *base, struct scheduler *scheduler, struct owners *owners,
	struct bulk **ret)
{
	struct bulk *bulk = calloc(1, sizeof *bulk);
	int r;

	if (!bulk)
		return -ENOMEM;
	bulk->scheduler = scheduler;
	pthread_mutex_init(&bulk->lock, NULL);
	pthread_cond_init(&bulk->more, NULL);
	set_up_classes(bulk, owners);
	TAILQ_INIT(&bulk->finished);
	TAILQ_INIT(&bulk->submitted);
	bulk->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = bulk->finished_fd < 0 ? -errno : bulk_start(base, bulk);
	if (r < 0)
		bulk_clear(bulk);
	else
		*ret = bulk;
	return r;
}

static void stop_thread(struct bulk *bulk)
{
	if (bulk->ending)
		return;
	pthread_mutex_lock(&bulk->lock);
	bulk->ending = true;
	pthread_cond_signal(&bulk->more);
	pthread_mutex_unlock(&bulk->lock);
	pthread_join(bulk->thread, NULL);
}

/* The end of one may bring about another, which closes a file. */
void bulk_stop(struct bulk *bulk)
{
	struct bulk_job *job;

	if (!bulk)
		return;
	stop_thread(bulk);
	while ((job = TAILQ_FIRST(&bulk->submitted))) {
		share_remove(&job->share);
		scheduler_forget(&job->work);
		end_job(bulk, job);
	}
}

struct bulk *bulk_free(struct bulk *bulk)
{
	bulk_stop(bulk);
	if (bulk)
		bulk_clear(bulk);
	return NULL;
}

void bulk_submit(struct bulk *bulk, struct bulk_job *job)
{
	if (bulk->ending) {
		job->done(job);
		return;
	}
	job->bulk = bulk;
	job->work = (struct work){.owner = job->owner, .run = run_done};
	TAILQ_INSERT_TAIL(&bulk->submitted, job, link);
	pthread_mutex_lock(&bulk->lock);
	enqueue(job);
	pthread_cond_signal(&bulk->more);
	pthread_mutex_unlock(&bulk->lock);
}

bool bulk_do(struct bulk *bulk, struct bulk_job *job)
{
	if (!bulk_job_is_small(job)) {
		bulk_submit(bulk, job);
		return false;
	}
	while (job->part < job->count)
		bulk_job_step(job);
	return true;
}
