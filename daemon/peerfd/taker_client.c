/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takings. See taker_client.h.
 *
 * Each owner has a queue. Its first taking is given to an idle taker of the owner's. Where there is
 * none, one is started: at once where none is at work, and else when the one that is has taken
 * longer than nearly all take. Where a limit leaves no room, it waits for a taker that may yet
 * answer or end, an idle one of another owner's being sent away; where all that count hang it
 * fails.
 *
 * Whoever has begun a taking is told of its end from the loop and as the last thing, for it may
 * begin another then.
 */
#include "daemon/peerfd/taker_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/container_of.h"
#include "daemon/base/log.h"
#include "daemon/peerfd/taker_process.h"
#include "daemon/peerfd/taker_room.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/tree.h"

/* What nearly every taking takes less than. */
static const struct timeval patience = {.tv_usec = 20 * 1000};

/* Of those that wait for room, so many look for it where there may be some: one more than can have
 * it would do, if all could have any. */
#define LOOKS_MAX 8

/* A taker of an owner's. */
struct worker {
	TAILQ_ENTRY(worker) link;
	struct taking_member member;
	struct owner_takers *owner;
	struct taking_process *process;
	struct taking *taking; /* NULL: none, or one that was cancelled */
};

/* An owner's takers, and its takings that none of them has. */
struct owner_takers {
	RB_ENTRY(owner_takers) link;
	struct takings *takings;
	const struct owner *owner; /* the place has it */
	struct taking_place place;
	TAILQ_HEAD(, worker) workers;
	TAILQ_HEAD(, taking) queue;
	struct event *patience;
	bool impatient;  /* those at work have been waited for */
	bool gone;       /* it needs no idle taker */
	unsigned pinned; /* not to be freed now */
};

struct taking {
	TAILQ_ENTRY(taking) link;
	struct owner_takers *owner; /* in whose queue it is; NULL: none any more */
	struct worker *worker;      /* that is asked; NULL: none */
	taking_done *done;
	void *context;
	struct event *deadline;
	struct taking_result failure;
	int pidfd;      /* needed until a taker is asked */
	bool has_pidfd; /* a duplicate: it had to wait, and who has begun it may end */
	struct taker_message message;
};

RB_HEAD(owner_takers_tree, owner_takers);

struct takings {
	struct event_base *base;
	const char *program;
	int last_error; /* of a start, which is logged once */
	struct taking_room room;
	struct owner_takers_tree owners;
};

static int compare_owners(struct owner_takers *a, struct owner_takers *b)
{
	return a->owner < b->owner ? -1 : a->owner > b->owner;
}

RB_GENERATE_LOCAL(owner_takers_tree, owner_takers, link, compare_owners)

static void serve_owner(struct owner_takers *owner);

/* Owners */

static void patience_over(evutil_socket_t fd, short what, void *context)
{
	struct owner_takers *owner = context;

	(void)fd;
	(void)what;
	owner->impatient = true;
	serve_owner(owner);
}

static struct owner_takers *owner_new(struct takings *takings, struct owner *identity)
{
	struct owner_takers *owner = calloc(1, sizeof *owner);

	if (!owner)
		return NULL;
	owner->takings = takings;
	owner->owner = identity;
	TAILQ_INIT(&owner->workers);
	TAILQ_INIT(&owner->queue);
	owner->patience = event_new(takings->base, -1, 0, patience_over, owner);
	if (!owner->patience) {
		free(owner);
		return NULL;
	}
	taking_place_open(&takings->room, identity, &owner->place);
	RB_INSERT(owner_takers_tree, &takings->owners, owner);
	return owner;
}

static struct owner_takers *owner_find(struct takings *takings, const struct owner *identity)
{
	struct owner_takers key = {.owner = identity};

	return RB_FIND(owner_takers_tree, &takings->owners, &key);
}

static void owner_free(struct owner_takers *owner)
{
	RB_REMOVE(owner_takers_tree, &owner->takings->owners, owner);
	taking_place_close(&owner->place);
	event_free(owner->patience);
	free(owner);
}

static void owner_free_unused(struct owner_takers *owner)
{
	if (TAILQ_EMPTY(&owner->workers) && TAILQ_EMPTY(&owner->queue) && owner->pinned == 0)
		owner_free(owner);
}

/* Takings */

static void taking_free(struct taking *taking)
{
	if (taking->deadline)
		event_free(taking->deadline);
	if (taking->has_pidfd)
		fd_close(taking->pidfd);
	free(taking);
}

static void taking_unqueue(struct taking *taking)
{
	if (taking->owner)
		TAILQ_REMOVE(&taking->owner->queue, taking, link);
	taking->owner = NULL;
}

static void taking_finish(struct taking *taking, struct taking_result *result)
{
	taking_done *done = taking->done;
	void *context = taking->context;

	taking_free(taking);
	done(context, result);
}

/* Its starter is told in the loop's next turn. */
static void taking_fail(struct taking *taking, const struct taking_result *failure)
{
	static const struct timeval now = {0, 0};

	taking_unqueue(taking);
	taking->failure = *failure;
	event_add(taking->deadline, &now);
}

static void deadline_event(evutil_socket_t fd, short what, void *context)
{
	struct taking *taking = context;
	struct taking_result result = taking->failure;
	struct owner_takers *owner = taking->owner;
	struct worker *worker = taking->worker;

	(void)fd;
	(void)what;
	if (result.result == 0)
		result.result = -ETIMEDOUT;
	taking_unqueue(taking);
	if (owner)
		serve_owner(owner);
	if (worker) {
		worker->taking = NULL;
		taking_process_give_up(worker->process);
	}
	taking_finish(taking, &result);
}

/* Takers */

static struct taking_result result_of(struct taker_packet *packet)
{
	const struct taker_message *message = &packet->message;
	const struct taker_answer *answer = &message->answer;

	if (message->header.operation == TAKER_LOOK)
		return (struct taking_result){
			.result = message->header.result, .shown = message->look_answer.shown};
	return (struct taking_result){
		.result = message->header.result,
		.failed = answer->failed,
		.n_fds = packet->came.n_fds,
		.fds = packet->came.fds,
		.mapping = answer->mapping,
		.reason = answer->reason,
	};
}

static void taker_answered(struct taking_process *process, struct taker_packet *packet, int error)
{
	struct worker *worker = process->context;
	struct taking *taking = worker->taking;
	struct taking_result result = {.result = error};

	worker->taking = NULL;
	if (!taking)
		return;
	if (packet)
		result = result_of(packet);
	taking_finish(taking, &result);
}

static void let_look_for_room(struct owner_takers *owner, bool on_host)
{
	struct taking_place *place;

	for (unsigned i = 0; i < LOOKS_MAX; i++) {
		place = taking_place_next(&owner->place, on_host);
		if (!place)
			return;
		serve_owner(CONTAINER_OF(place, struct owner_takers, place));
	}
}

/* A taker of the owner's is idle or has ended: those that wait for room may find some. */
static void room_was_made(struct owner_takers *owner)
{
	owner->pinned++;
	let_look_for_room(owner, /* on_host= */ false);
	let_look_for_room(owner, /* on_host= */ true);
	owner->pinned--;
	serve_owner(owner);
}

static void changed(struct taking_process *process)
{
	struct worker *worker = process->context;
	struct owner_takers *owner = worker->owner;
	bool idle = process->state == TAKING_IDLE;

	taking_member_set(&worker->member, idle, process->hung);
	serve_owner(owner);
	if (idle)
		room_was_made(owner);
}

static void ended(struct taking_process *process)
{
	struct worker *worker = process->context;
	struct owner_takers *owner = worker->owner;

	TAILQ_REMOVE(&owner->workers, worker, link);
	taking_member_remove(&worker->member);
	free(worker);
	room_was_made(owner);
}

static const struct taking_process_events process_events = {taker_answered, changed, ended};

/* What is said of it once isn't said again while it is the same. */
static void log_start(struct takings *takings, int r)
{
	if (r < 0 && r != takings->last_error)
		log_error("gmemd-taker can't be started: %s", strerror(-r));
	takings->last_error = r;
}

/* -EDQUOT: see taking_member_add(). */
static int start_worker(struct owner_takers *owner, enum limit *ret_limit)
{
	struct takings *takings = owner->takings;
	struct worker *worker = malloc(sizeof *worker);
	int r;

	if (!worker)
		return -ENOMEM;
	*worker = (struct worker){.owner = owner};
	r = taking_member_add(&owner->place, &worker->member, ret_limit);
	if (r < 0) {
		free(worker);
		return r;
	}
	r = taking_process_start(
		takings->base, takings->program, &process_events, worker, &worker->process);
	log_start(takings, r);
	if (r < 0) {
		taking_member_remove(&worker->member);
		free(worker);
		return r;
	}
	TAILQ_INSERT_TAIL(&owner->workers, worker, link);
	taking_member_set(&worker->member, /* idle= */ true, /* hung= */ false);
	return 0;
}

static struct worker *idle_worker(const struct owner_takers *owner)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &owner->workers, link) {
		if (worker->process->state == TAKING_IDLE)
			return worker;
	}
	return NULL;
}

static bool has_worker_at_work(const struct owner_takers *owner)
{
	const struct worker *worker;

	TAILQ_FOREACH (worker, &owner->workers, link) {
		if (!worker->process->hung && worker->process->state != TAKING_LEAVING)
			return true;
	}
	return false;
}

/* Serving */

static void give_result(struct taking *taking, struct worker *worker)
{
	struct taking_result failure = {.result = 0};

	taking_unqueue(taking);
	taking->worker = worker;
	worker->taking = taking;
	taking_member_set(&worker->member, /* idle= */ false, /* hung= */ false);
	failure.result = taking_process_ask(worker->process, &taking->message, taking->pidfd);
	if (failure.result == 0)
		return;
	taking->worker = NULL;
	worker->taking = NULL;
	taking_fail(taking, &failure);
}

/* Whatever of an owner's own may make room, it hears of. */
static void wait_for_room(struct owner_takers *owner, enum limit limit)
{
	struct taking_member *idle = taking_place_find_idle(&owner->place, limit);

	if (limit != LIMIT_TAKERS_PER_OWNER)
		taking_place_wait(&owner->place);
	if (idle)
		taking_process_leave(CONTAINER_OF(idle, struct worker, member)->process);
}

/* Another taker, or the taking's failure. False where it has to wait. */
static bool start_another(struct owner_takers *owner, struct taking *taking)
{
	struct taking_result failure = {.result = 0};
	enum limit limit = LIMITS;

	failure.result = start_worker(owner, &limit);
	if (failure.result == -EDQUOT && !taking_place_is_hopeless(&owner->place, limit)) {
		wait_for_room(owner, limit);
		return false;
	}
	owner->impatient = false;
	failure.limit = limit;
	if (failure.result < 0)
		taking_fail(taking, &failure);
	return true;
}

/* False where it has to wait. */
static bool serve_taking(struct owner_takers *owner, struct taking *taking)
{
	struct worker *worker = idle_worker(owner);

	if (worker) {
		give_result(taking, worker);
		return true;
	}
	if (owner->impatient || !has_worker_at_work(owner))
		return start_another(owner, taking);
	if (!event_pending(owner->patience, EV_TIMEOUT, NULL))
		event_add(owner->patience, &patience);
	return false;
}

static void serve_owner(struct owner_takers *owner)
{
	struct worker *worker;
	struct taking *taking;

	while ((taking = TAILQ_FIRST(&owner->queue)) && serve_taking(owner, taking))
		continue;
	if (taking)
		return;
	owner->impatient = false;
	event_del(owner->patience);
	taking_place_wait_no_more(&owner->place);
	while (owner->gone && (worker = idle_worker(owner)))
		taking_process_leave(worker->process);
	owner_free_unused(owner);
}

void takings_forget_owner(struct takings *takings, const struct owner *identity)
{
	struct owner_takers *owner = owner_find(takings, identity);

	if (!owner)
		return;
	owner->gone = true;
	serve_owner(owner);
}

/* Their beginning and end */

static struct taker_message message_of(const struct taking_request *request)
{
	struct taker_message message = {
		.header = {.operation = TAKER_TAKE,
			.count = (uint32_t)request->n_files,
			.flags = (request->verify ? TAKER_MAPPING : 0u) |
				 (request->of_file ? TAKER_MAPPING_OF_FILE : 0u)},
		.request = {.process = request->process->pid,
			.thread = request->thread,
			.address = request->mapping.address,
			.length = request->mapping.length,
			.device = request->mapping.file.device,
			.inode = request->mapping.file.inode},
	};

	memcpy(message.request.files, request->files, request->n_files * sizeof *request->files);
	return message;
}

static struct taker_message look_of(const struct taking_request *request)
{
	struct taker_message message = {
		.header = {.operation = TAKER_LOOK, .count = (uint32_t)request->n_views},
		.look = {.process = request->process->pid},
	};

	for (size_t i = 0; i < request->n_views; i++) {
		const struct file_view *view = &request->views[i];

		message.look.views[i] = (struct taker_view){.address = view->address,
			.length = view->length,
			.offset = view->offset,
			.device = view->file.device,
			.inode = view->file.inode};
	}
	return message;
}

static int taking_new(
	struct takings *takings, const struct taking_request *request, struct taking **ret)
{
	static const struct timeval late = {TAKER_LATE_MS / 1000, 0};
	struct taking *taking = malloc(sizeof *taking);
	int r = 0;

	if (!taking)
		return -ENOMEM;
	*taking = (struct taking){
		.message = request->n_views > 0 ? look_of(request) : message_of(request),
		.pidfd = request->process->pidfd,
	};
	taking->deadline = event_new(takings->base, -1, 0, deadline_event, taking);
	if (!taking->deadline || event_add(taking->deadline, &late) < 0)
		r = -ENOMEM;
	if (r < 0)
		taking_free(taking);
	else
		*ret = taking;
	return r;
}

/* One that has to wait. */
static int keep_pidfd(struct taking *taking)
{
	int fd = fcntl(taking->pidfd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	taking->pidfd = fd;
	taking->has_pidfd = true;
	return 0;
}

int taking_start(struct takings *takings, const struct taking_request *request, taking_done *done,
	void *context, struct taking **ret)
{
	struct owner_takers *owner;
	struct taking *taking;
	int r = taking_new(takings, request, &taking);

	if (r < 0)
		return r;
	taking->done = done;
	taking->context = context;
	owner = owner_find(takings, request->owner);
	if (!owner)
		owner = owner_new(takings, request->owner);
	if (!owner) {
		taking_free(taking);
		return -ENOMEM;
	}
	taking->owner = owner;
	TAILQ_INSERT_TAIL(&owner->queue, taking, link);
	serve_owner(owner);
	r = taking->owner ? keep_pidfd(taking) : 0;
	if (r < 0)
		taking_cancel(taking);
	else
		*ret = taking;
	return r;
}

struct taking *taking_cancel(struct taking *taking)
{
	struct owner_takers *owner;

	if (!taking)
		return NULL;
	owner = taking->owner;
	taking_unqueue(taking);
	if (taking->worker)
		taking->worker->taking = NULL;
	taking_free(taking);
	if (owner)
		serve_owner(owner);
	return NULL;
}

int takings_new(struct event_base *base, const struct config *config, const char *program,
	struct takings **ret)
{
	struct takings *takings = malloc(sizeof *takings);

	if (!takings)
		return -ENOMEM;
	*takings = (struct takings){.base = base, .program = program};
	taking_room_init(&takings->room, config);
	RB_INIT(&takings->owners);
	*ret = takings;
	return 0;
}

static void owner_forget(struct owner_takers *owner)
{
	struct worker *worker;
	struct taking *taking;

	while ((taking = TAILQ_FIRST(&owner->queue))) {
		taking_unqueue(taking);
		taking_free(taking);
	}
	while ((worker = TAILQ_FIRST(&owner->workers))) {
		TAILQ_REMOVE(&owner->workers, worker, link);
		taking_member_remove(&worker->member);
		taking_process_free(worker->process);
		if (worker->taking)
			taking_free(worker->taking);
		free(worker);
	}
	owner_free(owner);
}

struct takings *takings_free(struct takings *takings)
{
	struct owner_takers *owner, *next;

	if (!takings)
		return NULL;
	RB_FOREACH_SAFE (owner, owner_takers_tree, &takings->owners, next)
		owner_forget(owner);
	free(takings);
	return NULL;
}
