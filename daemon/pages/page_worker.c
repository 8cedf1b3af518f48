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

#include "daemon/base/container_of.h"
#include "daemon/pages/page_closer.h"
#include "daemon/pages/puncher.h"
#include "kernel/base/cleanup.h"

/* Nanoseconds. A turn is over at the end of the step during which its time has passed. */
#define TURN_TIME (2 * 1000 * 1000)
/* A turn that is not over by then is late: mostly because someone keeps the file. */
#define LATE_TIME (10 * 1000 * 1000)

/* How often is looked for one, while there are jobs. */
static const struct timeval look_interval = {.tv_usec = 10 * 1000};

/* After which a thread's puncher leaves, but for the first one's: seconds. */
#define IDLE_SECONDS 10

/* What operators have given back is for itself: whose pages those are can keep it waiting. */
enum { CLASS_DEAD, CLASS_OPERATORS, CLASS_TAKEN, CLASS_USERS, CLASSES };
static const unsigned weights[CLASSES] = {
	[CLASS_DEAD] = 16, [CLASS_OPERATORS] = 8, [CLASS_TAKEN] = 8, [CLASS_USERS] = 1};

struct page_thread {
	pthread_t id;
	struct page_worker *pages;
	struct puncher puncher;
};

struct page_worker {
	struct scheduler *scheduler;
	pthread_mutex_t lock;
	pthread_cond_t more;
	/* Under the lock, with the owners' nodes. */
	struct share_class of_class[CLASSES];
	struct share_classes classes;
	struct share_queue finished;
	const struct turn *current; /* NULL: whichever thread is free may take one */
	unsigned n_free;            /* threads that wait */
	bool ending;

	/* The loop's. */
	const char *puncher; /* the program */
	unsigned n_threads, threads_max;
	struct event *look;
	bool looking;
	struct page_job_list submitted;
	struct page_closer closer;
	int finished_fd; /* an eventfd */
	struct event *event;
	struct page_thread threads[];
};

struct turn {
	uint64_t began;
};

#define JOB_OF(member) CONTAINER_OF(member, struct page_job, share)

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static struct share_node *leaf_of(struct page_job *job)
{
	if (job->taken_from)
		return owner_node(job->taken_from, OWNER_TAKEN_PAGES);
	return owner_node(job->owner, job->of_the_dead ? OWNER_DEAD_PAGES : OWNER_PAGES);
}

static void enqueue(struct page_job *job)
{
	share_add(leaf_of(job), &job->share);
}

/* The threads */

/* False where it is done. */
static bool work_on(struct page_job *job, uint64_t end, struct puncher *puncher)
{
	uint64_t began = now();
	bool more;

	do {
		more = page_job_step(job, puncher);
	} while (more && now() < end);
	job->spent += now() - began;
	return more;
}

static void finish_job(struct page_worker *pages, struct page_job *job)
{
	TAILQ_INSERT_TAIL(&pages->finished, &job->share, link);
	eventfd_write(pages->finished_fd, 1);
}

/* Its owner is there for as long as the leaf has jobs, or the lock is held. */
static void serve_turn(struct page_thread *thread, struct share_node *leaf, const struct turn *turn)
{
	struct page_worker *pages = thread->pages;
	uint64_t end = turn->began + TURN_TIME;
	bool more;

	do {
		struct page_job *job = JOB_OF(share_take_work(leaf));

		share_hold(leaf);
		pthread_mutex_unlock(&pages->lock);
		more = work_on(job, end, &thread->puncher);
		pthread_mutex_lock(&pages->lock);
		share_let_go(leaf);
		if (more)
			enqueue(job);
		else
			finish_job(pages, job);
	} while (!more && share_waits(leaf) && now() < end && pages->current == turn &&
		 !pages->ending);
}

/* One that was late has lost it to another thread, and the time since then is not its class's. */
static void take_turn(struct page_thread *thread, struct share_class *class)
{
	struct page_worker *pages = thread->pages;
	struct turn turn = {.began = now()};
	uint64_t time;

	pages->current = &turn;
	serve_turn(thread, share_take_turn(class->root), &turn);
	time = now() - turn.began;
	share_class_spend(class, pages->current == &turn || time < LATE_TIME ? time : LATE_TIME);
	if (pages->current == &turn)
		pages->current = NULL;
}

/* Under the lock. Once there was one, there is always a puncher that needs not be started first. */
static void await_more(struct page_thread *thread)
{
	struct page_worker *pages = thread->pages;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	pages->n_free++;
	if (thread == &pages->threads[0] || thread->puncher.pidfd < 0)
		pthread_cond_wait(&pages->more, &pages->lock);
	else
		r = pthread_cond_clockwait(&pages->more, &pages->lock, CLOCK_MONOTONIC, &until);
	pages->n_free--;
	if (r == ETIMEDOUT) {
		pthread_mutex_unlock(&pages->lock);
		puncher_leave(&thread->puncher);
		pthread_mutex_lock(&pages->lock);
	}
}

static void *run(void *context)
{
	struct page_thread *thread = context;
	struct page_worker *pages = thread->pages;
	struct share_class *class;

	pthread_mutex_lock(&pages->lock);
	while (!pages->ending) {
		class = pages->current ? NULL : share_class_next(&pages->classes);
		if (class)
			take_turn(thread, class);
		else
			await_more(thread);
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
	struct page_job *job = CONTAINER_OF(work, struct page_job, work);

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

static int start_thread(struct page_worker *pages)
{
	struct page_thread *thread = &pages->threads[pages->n_threads];
	int r;

	if (pages->n_threads == pages->threads_max)
		return -EAGAIN;
	thread->pages = pages;
	puncher_init(&thread->puncher, pages->puncher);
	r = -pthread_create(&thread->id, NULL, run, thread);
	if (r == 0)
		pages->n_threads++;
	else
		puncher_clear(&thread->puncher);
	return r;
}

static bool anything_is_due(const struct page_worker *pages)
{
	for (unsigned i = 0; i < CLASSES; i++) {
		if (share_waits(pages->of_class[i].root))
			return true;
	}
	return false;
}

/* Where there is no thread to be had it is tried again. */
static void replace_late(struct page_worker *pages)
{
	bool one_more;

	pthread_mutex_lock(&pages->lock);
	if (pages->current && now() - pages->current->began >= LATE_TIME && anything_is_due(pages))
		pages->current = NULL;
	one_more = !pages->current && pages->n_free == 0 && anything_is_due(pages);
	pthread_cond_signal(&pages->more);
	pthread_mutex_unlock(&pages->lock);
	if (one_more)
		start_thread(pages);
}

static void keep_looking(struct page_worker *pages)
{
	if (!pages->looking && !TAILQ_EMPTY(&pages->submitted))
		pages->looking = event_add(pages->look, &look_interval) == 0;
}

static void look(evutil_socket_t fd, short what, void *context)
{
	struct page_worker *pages = context;

	(void)fd;
	(void)what;
	pages->looking = false;
	replace_late(pages);
	keep_looking(pages);
}

static int page_worker_start(struct event_base *base, struct page_worker *pages)
{
	pages->event =
		event_new(base, pages->finished_fd, EV_READ | EV_PERSIST, finished_event, pages);
	pages->look = evtimer_new(base, look, pages);
	if (!pages->event || !pages->look ||
		event_priority_set(pages->event, SCHEDULER_FIRST) < 0 ||
		event_priority_set(pages->look, SCHEDULER_FIRST) < 0 ||
		event_add(pages->event, NULL) < 0)
		return -ENOMEM;
	return start_thread(pages);
}

static void page_worker_clear(struct page_worker *pages)
{
	if (pages->event)
		event_free(pages->event);
	if (pages->look)
		event_free(pages->look);
	page_closer_clear(&pages->closer);
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
		[CLASS_TAKEN] = owners_root(owners, OWNER_TAKEN_PAGES, false),
		[CLASS_USERS] = owners_root(owners, OWNER_PAGES, false)};

	for (unsigned i = 0; i < CLASSES; i++)
		pages->of_class[i] = (struct share_class){.root = roots[i], .weight = weights[i]};
	pages->classes = (struct share_classes){.classes = pages->of_class, .count = CLASSES};
}

int page_worker_new(struct event_base *base, struct scheduler *scheduler, struct owners *owners,
	const char *puncher, struct page_worker **ret)
{
	unsigned threads = owners_threads(owners);
	struct page_worker *pages = calloc(1, sizeof *pages + threads * sizeof *pages->threads);
	int r;

	if (!pages)
		return -ENOMEM;
	pages->threads_max = threads;
	pages->scheduler = scheduler;
	pages->puncher = puncher;
	pthread_mutex_init(&pages->lock, NULL);
	pthread_cond_init(&pages->more, NULL);
	set_up_classes(pages, owners);
	TAILQ_INIT(&pages->finished);
	TAILQ_INIT(&pages->submitted);
	page_closer_init(&pages->closer, pages);
	pages->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = pages->finished_fd < 0 ? -errno : page_worker_start(base, pages);
	if (r < 0)
		page_worker_clear(pages);
	else
		*ret = pages;
	return r;
}

static void stop_threads(struct page_worker *pages)
{
	if (pages->ending)
		return;
	pthread_mutex_lock(&pages->lock);
	pages->ending = true;
	pthread_cond_broadcast(&pages->more);
	pthread_mutex_unlock(&pages->lock);
	for (unsigned i = 0; i < pages->n_threads; i++)
		puncher_stop(&pages->threads[i].puncher);
	for (unsigned i = 0; i < pages->n_threads; i++) {
		pthread_join(pages->threads[i].id, NULL);
		puncher_clear(&pages->threads[i].puncher);
	}
}

/* The end of one may bring about another, which closes a file. */
void page_worker_stop(struct page_worker *pages)
{
	struct page_job *job;

	if (!pages)
		return;
	stop_threads(pages);
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

struct page_closer *page_worker_closer(struct page_worker *pages)
{
	return &pages->closer;
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
	keep_looking(pages);
}

bool page_worker_do(struct page_worker *pages, struct page_job *job)
{
	if (!page_job_is_for_loop(job)) {
		page_worker_submit(pages, job);
		return false;
	}
	while (job->part < job->count)
		page_job_step(job, NULL);
	job->done(job);
	return true;
}

void page_worker_move_owner(
	struct page_worker *pages, struct owner *owner, struct owner *consume_place)
{
	if (!pages) {
		owner_move(owner, consume_place);
		return;
	}
	pthread_mutex_lock(&pages->lock);
	owner_move(owner, consume_place);
	/* Where it was there may be room for another thread, and where it is there may be. */
	pthread_cond_broadcast(&pages->more);
	pthread_mutex_unlock(&pages->lock);
}
