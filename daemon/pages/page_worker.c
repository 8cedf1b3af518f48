/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page worker. See page_worker.h.
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

struct page_worker {
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
	struct page_job_list submitted;
	int finished_fd; /* an eventfd */
	struct event *event;
};

#define JOB_OF(member)      ((struct page_job *)((char *)(member)-offsetof(struct page_job, share)))
#define JOB_OF_WORK(member) ((struct page_job *)((char *)(member)-offsetof(struct page_job, work)))

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void enqueue(struct page_job *job)
{
	enum owner_tree tree = job->of_the_dead ? OWNER_DEAD_PAGES : OWNER_PAGES;

	share_add(owner_node(job->owner, tree), &job->share);
}

/* The thread */

/* False where it is done. */
static bool work_on(struct page_job *job, uint64_t end)
{
	uint64_t began = now();
	bool more;

	do {
		more = page_job_step(job);
	} while (more && now() < end);
	job->spent += now() - began;
	return more;
}

/* Its owner is there for as long as the leaf has jobs, or the lock is held. */
static void serve_turn(struct page_worker *pages, struct share_node *leaf, uint64_t end)
{
	do {
		struct page_job *job = JOB_OF(share_take_work(leaf));
		bool more;

		pthread_mutex_unlock(&pages->lock);
		more = work_on(job, end);
		pthread_mutex_lock(&pages->lock);
		if (more) {
			enqueue(job);
			return;
		}
		TAILQ_INSERT_TAIL(&pages->finished, &job->share, link);
		eventfd_write(pages->finished_fd, 1);
	} while (share_waits(leaf) && now() < end && !pages->ending);
}

static struct share_class *wait_for_class(struct page_worker *pages)
{
	struct share_class *class = NULL;

	while (!pages->ending && !(class = share_class_next(&pages->classes)))
		pthread_cond_wait(&pages->more, &pages->lock);
	return class;
}

static void *run(void *context)
{
	struct page_worker *pages = context;
	struct share_class *class;

	pthread_mutex_lock(&pages->lock);
	while ((class = wait_for_class(pages))) {
		uint64_t began = now();

		serve_turn(pages, share_take_turn(class->root), began + TURN_TIME);
		share_class_spend(class, now() - began);
	}
	pthread_mutex_unlock(&pages->lock);
	return NULL;
}

/* The loop */

static void end_job(struct page_worker *pages, struct page_job *job)
{
	TAILQ_REMOVE(&pages->submitted, job, link);
	job->done(job);
}

static void run_done(struct work *work)
{
	struct page_job *job = JOB_OF_WORK(work);

	end_job(job->pages, job);
}

static struct page_job *take_finished(struct page_worker *pages)
{
	struct share_work *work;

	pthread_mutex_lock(&pages->lock);
	work = TAILQ_FIRST(&pages->finished);
	if (work)
		TAILQ_REMOVE(&pages->finished, work, link);
	pthread_mutex_unlock(&pages->lock);
	return work ? JOB_OF(work) : NULL;
}

static void finished_event(evutil_socket_t fd, short what, void *context)
{
	struct page_worker *pages = context;
	struct page_job *job;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	while ((job = take_finished(pages))) {
		if (job->of_the_dead)
			scheduler_ready_to_release(pages->scheduler, &job->work);
		else
			scheduler_ready(pages->scheduler, &job->work);
	}
}

static int page_worker_start(struct event_base *base, struct page_worker *pages)
{
	pages->event =
		event_new(base, pages->finished_fd, EV_READ | EV_PERSIST, finished_event, pages);
	if (!pages->event || event_priority_set(pages->event, SCHEDULER_FIRST) < 0 ||
		event_add(pages->event, NULL) < 0)
		return -ENOMEM;
	return -pthread_create(&pages->thread, NULL, run, pages);
}

static void page_worker_clear(struct page_worker *pages)
{
	if (pages->event)
		event_free(pages->event);
	fd_close(pages->finished_fd);
	pthread_cond_destroy(&pages->more);
	pthread_mutex_destroy(&pages->lock);
	free(pages);
}

static void set_up_classes(struct page_worker *pages, struct owners *owners)
{
	struct share_node *const roots[CLASSES] = {
		[CLASS_DEAD] = owners_root(owners, OWNER_DEAD_PAGES, /* of_operators= */ false),
		[CLASS_OPERATORS] = owners_root(owners, OWNER_PAGES, true),
		[CLASS_USERS] = owners_root(owners, OWNER_PAGES, false)};

	for (unsigned i = 0; i < CLASSES; i++)
		pages->of_class[i] = (struct share_class){.root = roots[i], .weight = weights[i]};
	pages->classes = (struct share_classes){.classes = pages->of_class, .count = CLASSES};
}

int page_worker_new(struct event_base *base, struct scheduler *scheduler, struct owners *owners,
	struct page_worker **ret)
{
	struct page_worker *pages = calloc(1, sizeof *pages);
	int r;

	if (!pages)
		return -ENOMEM;
	pages->scheduler = scheduler;
	pthread_mutex_init(&pages->lock, NULL);
	pthread_cond_init(&pages->more, NULL);
	set_up_classes(pages, owners);
	TAILQ_INIT(&pages->finished);
	TAILQ_INIT(&pages->submitted);
	pages->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = pages->finished_fd < 0 ? -errno : page_worker_start(base, pages);
	if (r < 0)
		page_worker_clear(pages);
	else
		*ret = pages;
	return r;
}

static void stop_thread(struct page_worker *pages)
{
	if (pages->ending)
		return;
	pthread_mutex_lock(&pages->lock);
	pages->ending = true;
	pthread_cond_signal(&pages->more);
	pthread_mutex_unlock(&pages->lock);
	pthread_join(pages->thread, NULL);
}

/* The end of one may bring about another, which closes a file. */
void page_worker_stop(struct page_worker *pages)
{
	struct page_job *job;

	if (!pages)
		return;
	stop_thread(pages);
	while ((job = TAILQ_FIRST(&pages->submitted))) {
		share_remove(&job->share);
		scheduler_forget(&job->work);
		end_job(pages, job);
	}
}

struct page_worker *page_worker_free(struct page_worker *pages)
{
	page_worker_stop(pages);
	if (pages)
		page_worker_clear(pages);
	return NULL;
}

void page_worker_submit(struct page_worker *pages, struct page_job *job)
{
	if (pages->ending) {
		job->done(job);
		return;
	}
	job->pages = pages;
	job->work = (struct work){.owner = job->owner, .run = run_done};
	TAILQ_INSERT_TAIL(&pages->submitted, job, link);
	pthread_mutex_lock(&pages->lock);
	enqueue(job);
	pthread_cond_signal(&pages->more);
	pthread_mutex_unlock(&pages->lock);
}

bool page_worker_do(struct page_worker *pages, struct page_job *job)
{
	if (!page_job_is_small(job)) {
		page_worker_submit(pages, job);
		return false;
	}
	while (job->part < job->count)
		page_job_step(job);
	return true;
}
