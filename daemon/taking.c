/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takings. See taking.h.
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
#include "daemon/taking.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/taking_process.h"
#include "daemon/taking_room.h"
#include "kernel/cleanup.h"

/* What nearly every taking takes less than. */
static const struct timeval patience = {.tv_usec = 20 * 1000};

/* A taker of an owner's. */
struct worker {
	TAILQ_ENTRY(worker) link;
	struct taking_idler idler;
	struct owner_takers *owner;
	struct taking_process *process;
	struct taking *taking; /* NULL: none, or one that was cancelled */
	bool counted_as_hung;
};

/* An owner's takers, and its takings that none of them has. */
struct owner_takers {
	RB_ENTRY(owner_takers) link;
	struct takings *takings;
	struct taking_owner owner;
	struct taking_room_of_owner room;
	struct taking_waiter waiter; /* for room */
	TAILQ_HEAD(, worker) workers;
	TAILQ_HEAD(, taking) queue;
	struct event *patience;
	bool impatient;  /* those at work have been waited for */
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
	int pidfd;
	struct taker_message message;
};

RB_HEAD(owner_tree, owner_takers);

struct takings {
	struct event_base *base;
	const char *program;
	int last_error; /* of a start, which is logged once */
	struct taking_room room;
	struct owner_tree owners;
};

#define WORKER_OF(member) ((struct worker *)((char *)(member)-offsetof(struct worker, idler)))
#define OWNER_OF(member)                                                                           \
	((struct owner_takers *)((char *)(member)-offsetof(struct owner_takers, waiter)))

static int compare_owners(struct owner_takers *a, struct owner_takers *b)
{
	if (a->owner.uid != b->owner.uid)
		return a->owner.uid < b->owner.uid ? -1 : 1;
	return a->owner.number < b->owner.number ? -1 : a->owner.number > b->owner.number;
}

RB_GENERATE_LOCAL(owner_tree, owner_takers, link, compare_owners)

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

static struct owner_takers *owner_new(struct takings *takings, const struct taking_owner *identity)
{
	struct owner_takers *owner = calloc(1, sizeof *owner);

	if (!owner)
		return NULL;
	owner->takings = takings;
	owner->owner = *identity;
	TAILQ_INIT(&owner->workers);
	TAILQ_INIT(&owner->queue);
	owner->patience = event_new(takings->base, -1, 0, patience_over, owner);
	if (!owner->patience || !taking_room_open(&takings->room, identity->uid,
					identity->number > 0, &owner->room)) {
		if (owner->patience)
			event_free(owner->patience);
		free(owner);
		return NULL;
	}
	RB_INSERT(owner_tree, &takings->owners, owner);
	return owner;
}

static struct owner_takers *owner_get(struct takings *takings, const struct taking_owner *identity)
{
	struct owner_takers key = {.owner = *identity};
	struct owner_takers *owner = RB_FIND(owner_tree, &takings->owners, &key);

	return owner ? owner : owner_new(takings, identity);
}

static void owner_free(struct owner_takers *owner)
{
	taking_waiter_set(&owner->waiter, NULL);
	RB_REMOVE(owner_tree, &owner->takings->owners, owner);
	taking_room_close(&owner->room);
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

static void answered(struct taking_process *process, struct taker_packet *packet, int error)
{
	struct worker *worker = process->context;
	struct taking *taking = worker->taking;
	struct taking_result result = {.result = error};

	worker->taking = NULL;
	if (!taking)
		return;
	if (packet) {
		const struct taker_answer *answer = &packet->message.answer;

		result = (struct taking_result){
			.result = packet->message.header.result,
			.failed = answer->failed,
			.n_fds = packet->came.n_fds,
			.fds = packet->came.fds,
			.mapping = answer->mapping,
			.reason = answer->reason,
		};
	}
	taking_finish(taking, &result);
}

/* Those that wait for a taker of the scope to go. Each that is served either has its taking done
 * with, or waits for something else, or waits anew. */
static void serve_waiting(struct taking_scope *scope)
{
	struct taking_waiter *waiter;

	do {
		waiter = TAILQ_FIRST(&scope->waiting);
		if (!waiter)
			return;
		taking_waiter_set(waiter, NULL);
		serve_owner(OWNER_OF(waiter));
	} while (scope->count < scope->limit || taking_scope_hangs(scope));
}

/* A taker of the owner's is idle, hangs, or has ended. */
static void serve_all_that_wait(struct owner_takers *owner)
{
	owner->pinned++;
	serve_waiting(&owner->room.user->scope);
	serve_waiting(&owner->room.room->host);
	owner->pinned--;
	serve_owner(owner);
}

static void changed(struct taking_process *process)
{
	struct worker *worker = process->context;
	struct owner_takers *owner = worker->owner;

	if (process->hung != worker->counted_as_hung) {
		worker->counted_as_hung = process->hung;
		taking_room_count(&owner->room, 0, process->hung ? 1 : -1);
	}
	taking_room_set_idle(&owner->room, &worker->idler, process->state == TAKING_IDLE);
	serve_owner(owner);
	if (process->hung || process->state == TAKING_IDLE)
		serve_all_that_wait(owner);
}

static void ended(struct taking_process *process)
{
	struct worker *worker = process->context;
	struct owner_takers *owner = worker->owner;

	TAILQ_REMOVE(&owner->workers, worker, link);
	taking_room_set_idle(&owner->room, &worker->idler, false);
	taking_room_count(&owner->room, -1, worker->counted_as_hung ? -1 : 0);
	free(worker);
	serve_all_that_wait(owner);
}

static const struct taking_process_events process_events = {answered, changed, ended};

/* What is said of it once isn't said again while it is the same. */
static void log_start(struct takings *takings, int r)
{
	if (r < 0 && r != takings->last_error)
		log_error("gmemd-taker can't be started: %s", strerror(-r));
	takings->last_error = r;
}

static int start_worker(struct owner_takers *owner)
{
	struct takings *takings = owner->takings;
	struct worker *worker = malloc(sizeof *worker);
	int r;

	if (!worker)
		return -ENOMEM;
	*worker = (struct worker){.owner = owner};
	r = taking_process_start(
		takings->base, takings->program, &process_events, worker, &worker->process);
	log_start(takings, r);
	if (r < 0) {
		free(worker);
		return r;
	}
	TAILQ_INSERT_TAIL(&owner->workers, worker, link);
	taking_room_count(&owner->room, 1, 0);
	taking_room_set_idle(&owner->room, &worker->idler, true);
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

static void send_one_away(struct taking_scope *scope)
{
	struct taking_idler *idler = TAILQ_FIRST(&scope->idle);

	if (idler)
		taking_process_leave(WORKER_OF(idler)->process);
}

/* Serving */

static void give(struct taking *taking, struct worker *worker)
{
	struct taking_result failure = {.result = 0};

	taking_unqueue(taking);
	taking->worker = worker;
	worker->taking = taking;
	taking_room_set_idle(&worker->owner->room, &worker->idler, false);
	failure.result = taking_process_ask(worker->process, &taking->message, taking->pidfd);
	if (failure.result == 0)
		return;
	taking->worker = NULL;
	worker->taking = NULL;
	taking_fail(taking, &failure);
}

static void fail_by_limit(struct taking *taking, const struct taking_scope *scope)
{
	const struct taking_result failure = {
		.result = -EDQUOT, .limit = {scope->limit_name, scope->limit, scope->name}};

	taking_fail(taking, &failure);
}

/* Another taker, or the taking's failure. False where it has to wait. */
static bool start_another(struct owner_takers *owner, struct taking *taking)
{
	struct taking_scope *full = taking_room_full(&owner->room);
	struct taking_result failure = {.result = 0};

	if (!full) {
		failure.result = start_worker(owner);
		owner->impatient = false;
		if (failure.result < 0)
			taking_fail(taking, &failure);
		return true;
	}
	if (taking_scope_hangs(full)) {
		fail_by_limit(taking, full);
		return true;
	}
	if (full != &owner->room.owner && !owner->waiter.scope) {
		taking_waiter_set(&owner->waiter, full);
		send_one_away(full);
	}
	return false;
}

/* False where it has to wait. */
static bool serve_taking(struct owner_takers *owner, struct taking *taking)
{
	struct worker *worker = idle_worker(owner);

	if (worker) {
		give(taking, worker);
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
	struct taking *taking;

	while ((taking = TAILQ_FIRST(&owner->queue)) && serve_taking(owner, taking))
		continue;
	if (taking)
		return;
	owner->impatient = false;
	event_del(owner->patience);
	taking_waiter_set(&owner->waiter, NULL);
	owner_free_unused(owner);
}

/* Their beginning and end */

static struct taker_message message_of(const struct taking_request *request)
{
	struct taker_message message = {
		.header = {.count = (uint32_t)request->n_files,
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

static int taking_new(
	struct takings *takings, const struct taking_request *request, struct taking **ret)
{
	static const struct timeval late = {TAKER_LATE_MS / 1000, 0};
	struct taking *taking = malloc(sizeof *taking);
	int r = 0;

	if (!taking)
		return -ENOMEM;
	*taking = (struct taking){
		.message = message_of(request),
		.pidfd = fcntl(request->process->pidfd, F_DUPFD_CLOEXEC, 0),
	};
	if (taking->pidfd < 0)
		r = -errno;
	taking->deadline = event_new(takings->base, -1, 0, deadline_event, taking);
	if (r == 0 && (!taking->deadline || event_add(taking->deadline, &late) < 0))
		r = -ENOMEM;
	if (r < 0)
		taking_free(taking);
	else
		*ret = taking;
	return r;
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
	owner = owner_get(takings, &request->owner);
	if (!owner) {
		taking_free(taking);
		return -ENOMEM;
	}
	taking->owner = owner;
	TAILQ_INSERT_TAIL(&owner->queue, taking, link);
	*ret = taking;
	serve_owner(owner);
	return 0;
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
		taking_room_set_idle(&owner->room, &worker->idler, false);
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
	RB_FOREACH_SAFE (owner, owner_tree, &takings->owners, next)
		owner_forget(owner);
	free(takings);
	return NULL;
}
