/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Custody. See custody.h.
 */
#include "daemon/custody.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/keeping.h"
#include "daemon/log.h"
#include "kernel/cleanup.h"

#define FILES_SPARE 1024

/* How long to wait before looking for a keeper again. */
static const struct timeval retry = {.tv_sec = 1};

#define STARTS_MAX 3

struct custody {
	struct event_base *base;
	const char *runtime_directory;
	custody_put_all *put_all;
	void *context;
	struct keeper *keeper; /* NULL: none can be had now */
	bool warned;
	bool holding;
	bool putting; /* everything */
	unsigned n_keepers;
	struct event *watch, *retrying;
};

static void lose(struct custody *custody);

/* r: what a request to the keeper came to. */
static void judge(struct custody *custody, int r)
{
	if (keeper_fault(custody->keeper) < 0)
		lose(custody);
	else if (r == -EMFILE)
		log_warning(
			"gmemd-keeper can hold no more: what is made now will not outlive gmemd");
	else if (r < 0)
		lose(custody);
}

static void keeper_event(evutil_socket_t fd, short what, void *context)
{
	struct custody *custody = context;

	(void)fd;
	(void)what;
	judge(custody, keeper_settle(custody->keeper));
}

/* A restart of the keeper itself, under a service manager, must find the listeners that it
 * has not passed itself. */
static unsigned put_flags(const struct keeper_id *id)
{
	if (id->kind == CUSTODY_VM_PROCESS)
		return KEEPER_LIFE;
	return id->kind == CUSTODY_LISTENER && id->member > 0 ? KEEPER_STORE : 0;
}

/* One that ends before it can be connected to is followed by another. */
static int start_and_connect(struct custody *custody)
{
	int r = -ECONNREFUSED;

	for (unsigned i = 0; r == -ECONNREFUSED && i < STARTS_MAX; i++) {
		r = keeper_start(custody->runtime_directory);
		if (r == 0)
			r = keeper_connect(custody->runtime_directory, &custody->keeper);
	}
	return r;
}

static int connect_keeper(struct custody *custody)
{
	int r = start_and_connect(custody);

	if (r < 0)
		return r;
	custody->n_keepers++;
	custody->watch = event_new(custody->base, keeper_fd(custody->keeper), EV_READ | EV_PERSIST,
		keeper_event, custody);
	if (custody->watch && event_add(custody->watch, NULL) == 0)
		return 0;
	custody->keeper = keeper_free(custody->keeper);
	return -ENOMEM;
}

static void disconnect(struct custody *custody)
{
	if (custody->watch)
		event_free(custody->watch);
	custody->watch = NULL;
	custody->keeper = keeper_free(custody->keeper);
}

/* As after gmemd's user has become another, under sockets that are still the old one's. */
static const char *explain(int r)
{
	if (r == -EACCES)
		return "its socket is another user's, or this one may make none there; if systemd "
		       "made it: systemctl restart gmemd-keeper.socket";
	return strerror(-r);
}

static bool find(struct custody *custody)
{
	int r = connect_keeper(custody);

	if (r < 0) {
		if (!custody->warned)
			log_warning("no gmemd-keeper: what gmemd holds will not outlive it: %s",
				explain(r));
		custody->warned = true;
		event_add(custody->retrying, &retry);
		return false;
	}
	custody->warned = false;
	return true;
}

void custody_hold(struct custody *custody, bool hold)
{
	int r;

	custody->holding = hold;
	if (hold || !custody->keeper)
		return;
	r = keeper_settle(custody->keeper);
	if (r == 0)
		return;
	if (!custody->putting && r != -EMFILE) {
		lose(custody);
		return;
	}
	disconnect(custody);
	event_add(custody->retrying, &retry);
}

static void put_everything(struct custody *custody)
{
	custody->putting = true;
	custody_hold(custody, true);
	custody->put_all(custody, custody->context);
	custody_hold(custody, false);
	custody->putting = false;
}

/* The keeper is gone: what it held is put to the next. */
static void lose(struct custody *custody)
{
	disconnect(custody);
	log_warning("gmemd-keeper is gone");
	if (find(custody))
		put_everything(custody);
}

static void retry_event(evutil_socket_t fd, short what, void *context)
{
	struct custody *custody = context;

	(void)fd;
	(void)what;
	if (!custody->keeper && find(custody))
		put_everything(custody);
}

int custody_new(struct event_base *base, const char *runtime_directory, custody_put_all *put_all,
	void *context, struct custody **ret)
{
	struct custody *custody = calloc(1, sizeof *custody);

	if (!custody)
		return -ENOMEM;
	*custody = (struct custody){.base = base,
		.runtime_directory = runtime_directory,
		.put_all = put_all,
		.context = context};
	custody->retrying = event_new(base, -1, 0, retry_event, custody);
	if (!custody->retrying) {
		free(custody);
		return -ENOMEM;
	}
	find(custody);
	*ret = custody;
	return 0;
}

struct custody *custody_free(struct custody *custody)
{
	if (!custody)
		return NULL;
	disconnect(custody);
	event_free(custody->retrying);
	free(custody);
	return NULL;
}

void custody_put(struct custody *custody, const struct keeper_id *ids, const int *fds, size_t count)
{
	if (!custody || !custody->keeper || count == 0)
		return;
	if (custody->holding)
		keeper_post_put(custody->keeper, ids, fds, count, 0);
	else
		judge(custody, keeper_put(custody->keeper, ids, fds, count, 0));
}

static void put_one(struct custody *custody, const struct keeper_id *id, int fd, bool wait)
{
	unsigned flags = put_flags(id);

	if (!custody || !custody->keeper)
		return;
	if (custody->holding)
		keeper_post_put(custody->keeper, id, &fd, 1, flags);
	else if (wait)
		judge(custody, keeper_put(custody->keeper, id, &fd, 1, flags));
	else
		judge(custody, keeper_post_put(custody->keeper, id, &fd, 1, flags));
}

void custody_put_one(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd)
{
	put_one(custody, &(struct keeper_id){kind, owner, member}, fd, /* wait= */ true);
}

void custody_post_one(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd)
{
	put_one(custody, &(struct keeper_id){kind, owner, member}, fd, /* wait= */ false);
}

int custody_accept(struct custody *custody, const struct keeper_id *listener,
	const struct keeper_id *connection, int *ret_fd)
{
	int r = -ENOENT;

	if (custody && custody->keeper)
		r = keeper_accept(custody->keeper, listener, connection, ret_fd);
	if (r < 0 && custody && custody->keeper)
		judge(custody, keeper_settle(custody->keeper));
	return r;
}

void custody_drop(struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member)
{
	const struct keeper_id id = {kind, owner, member};

	if (custody && custody->keeper && keeper_post_drop(custody->keeper, &id, 1) < 0)
		lose(custody);
}

void custody_make_room(struct custody *custody)
{
	const struct keeper_report *report = custody_report(custody);
	uint64_t room = report ? 2 * report->held + FILES_SPARE : 0;
	struct rlimit limit;

	if (!report || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	if (room >= limit.rlim_cur)
		room = limit.rlim_cur - 1;
	if (room <= INT_MAX)
		fd_close(fcntl(keeper_fd(custody->keeper), F_DUPFD_CLOEXEC, (int)room));
}

int custody_take(struct custody *custody,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	if (!custody || !custody->keeper)
		return 0;
	return keeper_take(custody->keeper, take, context);
}

unsigned custody_keepers(const struct custody *custody)
{
	return custody->n_keepers;
}

const struct keeper_report *custody_report(struct custody *custody)
{
	if (!custody || !custody->keeper || keeper_refresh(custody->keeper) < 0)
		return NULL;
	return keeper_report(custody->keeper);
}
