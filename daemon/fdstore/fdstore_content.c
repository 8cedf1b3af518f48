/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fd store: what is put there and dropped, its beginning and its end. See fdstore.h.
 */
#include "daemon/fdstore/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore_internal.h"
#include "kernel/base/cleanup.h"

#define FILES_SPARE 1024

/* Files that are put are on their way until the keeper has them, and count with those of peers. */
#define FILES_ON_THEIR_WAY_MAX   512
#define FILES_ON_THEIR_WAY_SHARE 16

static size_t files_on_their_way_max(void)
{
	struct rlimit limit = {.rlim_cur = 0};
	size_t share;

	getrlimit(RLIMIT_NOFILE, &limit);
	share = limit.rlim_cur / FILES_ON_THEIR_WAY_SHARE;
	if (share < KEEPER_BATCH)
		return KEEPER_BATCH;
	return share < FILES_ON_THEIR_WAY_MAX ? share : FILES_ON_THEIR_WAY_MAX;
}

static int set_up(struct fdstore *fdstore)
{
	const struct keeper_search_events events = {
		fdstore_keeper_found, fdstore_keeper_missed, fdstore};

	int r = timer_file_new(fdstore->base, fdstore_tick, fdstore, &fdstore->tick);

	if (r < 0)
		return r;
	fdstore_tick(fdstore);
	fdstore->retry = event_new(fdstore->base, -1, 0, fdstore_retry, fdstore);
	fdstore->lateness = event_new(fdstore->base, -1, 0, fdstore_look_for_lateness, fdstore);
	if (!fdstore->retry || !fdstore->lateness)
		return -ENOMEM;
	return keeper_search_new(
		fdstore->base, fdstore->runtime_directory, &events, &fdstore->search);
}

int fdstore_new(struct event_base *base, const char *runtime_directory, struct stages *stages,
	struct fdstore **ret)
{
	struct fdstore *fdstore = calloc(1, sizeof *fdstore);
	int r;

	if (!fdstore)
		return -ENOMEM;
	fdstore->base = base;
	fdstore->runtime_directory = runtime_directory;
	fdstore->stages = stages;
	fdstore->files_max = files_on_their_way_max();
	fdstore_table_init(&fdstore->table);
	TAILQ_INIT(&fdstore->acceptances);
	TAILQ_INIT(&fdstore->waiters);
	r = set_up(fdstore);
	if (r == 0)
		r = fdstore_find_first(fdstore);
	if (r < 0)
		fdstore_free(fdstore);
	else
		*ret = fdstore;
	return r;
}

struct fdstore *fdstore_free(struct fdstore *fdstore)
{
	if (!fdstore)
		return NULL;
	fdstore_disconnect(fdstore);
	keeper_search_free(fdstore->search);
	fdstore_table_clear(&fdstore->table);
	timer_file_free(fdstore->tick);
	if (fdstore->retry)
		event_free(fdstore->retry);
	if (fdstore->lateness)
		event_free(fdstore->lateness);
	free(fdstore);
	return NULL;
}

/* Putting and dropping */

static void put_file(struct fdstore *fdstore, const struct keeper_id *id, int fd, bool urgent)
{
	if (fdstore_table_put(&fdstore->table, id, fd, urgent) < 0)
		log_warning("no memory to send gmemd-keeper what is made now: it will not outlive "
			    "gmemd");
}

/* While VMs wait that another keeper is to have, what is made waits behind them: before those
 * connections, one of which may be its process's. */
void fdstore_put(struct fdstore *fdstore, const struct keeper_id *ids, const int *fds, size_t count)
{
	bool urgent;

	if (!fdstore)
		return;
	urgent = fdstore_serves(fdstore) && fdstore_table_has_sent_vms(&fdstore->table);
	for (size_t i = 0; i < count; i++)
		put_file(fdstore, &ids[i], fds[i], urgent);
	fdstore_send_all(fdstore);
}

void fdstore_put_one(
	struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member, int fd)
{
	fdstore_put(fdstore, &(struct keeper_id){kind, owner, member}, &fd, 1);
}

void fdstore_put_later(
	struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member, int fd)
{
	if (!fdstore)
		return;
	put_file(fdstore, &(struct keeper_id){kind, owner, member}, fd, /* urgent= */ false);
	fdstore_send_all(fdstore);
}

void fdstore_release(struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner,
	uint64_t member, int take_fd, struct fdstore_closer *closer)
{
	const struct keeper_id id = {kind, owner, member};
	bool waits = fdstore && fdstore->keeper;

	if (fdstore)
		fdstore_table_drop(
			&fdstore->table, &id, waits ? take_fd : -1, waits ? closer : NULL);
	if (!waits && closer)
		closer->close(closer, take_fd);
	if (waits)
		fdstore_send_all(fdstore);
}

void fdstore_drop(struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member)
{
	fdstore_release(fdstore, kind, owner, member, -1, NULL);
}

/* At the start */

void fdstore_make_room(struct fdstore *fdstore)
{
	uint64_t room = 2 * fdstore->report.held + FILES_SPARE;
	struct rlimit limit;

	if (!fdstore->keeper || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	if (room >= limit.rlim_cur)
		room = limit.rlim_cur - 1;
	if (room <= INT_MAX)
		fd_close(fcntl(keeper_fd(fdstore->keeper), F_DUPFD_CLOEXEC, (int)room));
}

struct taking {
	struct fdstore *fdstore;
	int (*take)(const struct keeper_id *id, int fd, void *context);
	void *context;
};

static int take_one(const struct keeper_id *id, int fd, void *context)
{
	struct taking *taking = context;
	int r = fdstore_table_adopt(&taking->fdstore->table, id, fd);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return taking->take(id, fd, taking->context);
}

int fdstore_take(struct fdstore *fdstore,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context)
{
	struct taking taking = {fdstore, take, context};

	if (!fdstore || !fdstore->keeper)
		return 0;
	keeper_set_patience(fdstore->keeper, START_SECONDS * 1000);
	return keeper_take(fdstore->keeper, take_one, &taking);
}

int fdstore_find_again(struct fdstore *fdstore)
{
	fdstore_disconnect(fdstore);
	fdstore_table_clear(&fdstore->table);
	fdstore->complete = false;
	return fdstore_find_first(fdstore);
}

/* Telling */

static enum fdstore_state state_of(const struct fdstore *fdstore)
{
	if (!fdstore->keeper)
		return FDSTORE_STATE_GONE;
	if (fdstore_silence(fdstore) >= STALLED_MS)
		return FDSTORE_STATE_STALLED;
	return fdstore->complete ? FDSTORE_STATE_HELD : FDSTORE_STATE_GONE;
}

void fdstore_describe(const struct fdstore *fdstore, struct fdstore_report *ret)
{
	*ret = (struct fdstore_report){.state = state_of(fdstore),
		.held = fdstore->table.n_held,
		.keeper = fdstore->reported ? &fdstore->report : NULL};
}
