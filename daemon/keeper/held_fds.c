/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the keeper holds. See held_fds.h.
 */
#include "daemon/keeper/held_fds.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/base/notify.h"
#include "daemon/keeper/packet.h"
#include "kernel/base/cleanup.h"

/* Names in the fd store: no ':', and at most 255 bytes. */
#define NAME_FORMAT "held-%" PRIx64 "-%" PRIx64 "-%" PRIx64
#define NAME_SIZE   64

static int held_compare(struct held *a, struct held *b)
{
	return keeper_id_compare(&a->id, &b->id);
}

RB_GENERATE_LOCAL(held_tree, held, link, held_compare)

static struct held *find_held(const struct held_fds *holding, const struct keeper_id *id)
{
	struct held key = {.id = *id};

	return RB_FIND(held_tree, (struct held_tree *)&holding->tree, &key);
}

/*
 * The service manager's fd store; without a service manager these do nothing. A service manager
 * that does not read is not waited for: what it is not told is not there after the keeper's own
 * restart.
 */

static void store_at_manager(const struct held *held)
{
	char state[NAME_SIZE + 64];

	snprintf(state, sizeof state, "FDSTORE=1\nFDPOLL=0\nFDNAME=" NAME_FORMAT, held->id.kind,
		held->id.owner, held->id.member);
	notify_send_file(state, held->fd);
}

static void unstore_at_manager(const struct held *held)
{
	char state[NAME_SIZE + 64];

	snprintf(state, sizeof state, "FDSTOREREMOVE=1\nFDNAME=" NAME_FORMAT, held->id.kind,
		held->id.owner, held->id.member);
	notify_send(state);
}

static void release_held(struct held *held)
{
	if (held->flags & KEEPER_STORE)
		unstore_at_manager(held);
	fd_close(held->fd);
	free(held);
}

void held_fds_init(struct held_fds *holding, size_t limit)
{
	*holding = (struct held_fds){.limit = limit};
	RB_INIT(&holding->tree);
}

void held_fds_clear(struct held_fds *holding)
{
	struct held *held, *next;

	RB_FOREACH_SAFE (held, held_tree, &holding->tree, next) {
		RB_REMOVE(held_tree, &holding->tree, held);
		held->flags = 0;
		release_held(held);
	}
	holding->count = holding->n_lives = 0;
}

static bool peer_lives(const struct held *held)
{
	return held->flags & KEEPER_LIFE;
}

static void take_out(struct held_fds *holding, struct held *held)
{
	RB_REMOVE(held_tree, &holding->tree, held);
	holding->count--;
	holding->n_lives -= peer_lives(held);
	release_held(held);
}

static void insert_held(struct held_fds *holding, struct held *held)
{
	struct held *old = RB_FIND(held_tree, &holding->tree, held);

	if (old)
		take_out(holding, old);
	RB_INSERT(held_tree, &holding->tree, held);
	holding->count++;
	holding->n_lives += peer_lives(held);
}

static int allocate_held(struct held **ret, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		ret[i] = malloc(sizeof **ret);
		if (ret[i])
			continue;
		while (i-- > 0)
			free(ret[i]);
		return -ENOMEM;
	}
	return 0;
}

int held_fds_put(struct held_fds *holding, const struct keeper_id *ids, int *fds, unsigned count,
	unsigned flags)
{
	struct held *held[KEEPER_BATCH];
	size_t added = 0;
	int r;

	for (unsigned i = 0; i < count; i++)
		added += !find_held(holding, &ids[i]);
	if (added > 0 && holding->count + added > holding->limit)
		return -EMFILE;
	r = allocate_held(held, count);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < count; i++) {
		*held[i] = (struct held){.id = ids[i], .fd = fds[i], .flags = flags};
		fds[i] = -1; /* taken over */
		insert_held(holding, held[i]);
		if (flags & KEEPER_STORE)
			store_at_manager(held[i]);
	}
	return 0;
}

static bool waits(int fd)
{
	struct pollfd event = {.fd = fd, .events = POLLIN};

	return poll(&event, 1, 0) > 0;
}

int held_fds_accept(struct held_fds *holding, const struct keeper_id *listener,
	const struct keeper_id *connection, int *ret_fd)
{
	const struct held *held = find_held(holding, listener),
			  *again = find_held(holding, connection);
	cleanup_fd int fd = -1;
	int accepted, r;

	if (again) {
		*ret_fd = again->fd;
		return 0;
	}
	if (!held)
		return -ENOENT;
	if (holding->count >= holding->limit)
		return -EMFILE;
	if (!waits(held->fd))
		return -EAGAIN;
	fd = accept4(held->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	accepted = fd;
	r = held_fds_put(holding, connection, &fd, 1, /* flags= */ 0);
	if (r == 0)
		*ret_fd = accepted;
	return r;
}

void held_fds_drop(struct held_fds *holding, const struct keeper_id *id)
{
	struct held *held = find_held(holding, id);

	if (held)
		take_out(holding, held);
}

static void drop_owned(struct held_fds *holding, uint64_t owner)
{
	struct held *held, *next;

	RB_FOREACH_SAFE (held, held_tree, &holding->tree, next) {
		if (held->id.owner == owner && held->id.kind >= KEEPER_OWNED_KINDS)
			take_out(holding, held);
	}
}

size_t held_fds_lives(const struct held_fds *holding, struct pollfd *events)
{
	struct held *held;
	size_t n = 0;

	RB_FOREACH (held, held_tree, (struct held_tree *)&holding->tree) {
		if (peer_lives(held))
			events[n++] = (struct pollfd){.fd = held->fd, .events = POLLIN};
	}
	return n;
}

static bool has_ended(const struct held *held)
{
	return peer_lives(held) && waits(held->fd);
}

void held_fds_drop_ended(struct held_fds *holding)
{
	struct held *held = RB_MIN(held_tree, &holding->tree);

	while (held) {
		struct keeper_id id = held->id;

		if (has_ended(held))
			drop_owned(holding, held->id.owner);
		/* The one after it may be gone, too. */
		held = (struct held *)held_fds_after(holding, &id);
	}
}

const struct held *held_fds_after(const struct held_fds *holding, const struct keeper_id *id)
{
	/* The tree's functions take no const. */
	struct held_tree *tree = (struct held_tree *)&holding->tree;
	struct held key = {0}, *held;

	if (!id)
		return RB_MIN(held_tree, tree);
	key.id = *id;
	held = RB_NFIND(held_tree, tree, &key);
	return held && keeper_id_compare(&held->id, id) == 0 ? RB_NEXT(held_tree, tree, held)
							     : held;
}

const struct held *held_fds_next(const struct held *held)
{
	return RB_NEXT(held_tree, NULL, (struct held *)held);
}

int held_fds_restore(struct held_fds *holding, const char *name, int fd)
{
	struct keeper_id id;
	struct held *held;

	if (sscanf(name, "held-%" SCNx64 "-%" SCNx64 "-%" SCNx64, &id.kind, &id.owner,
		    &id.member) != 3)
		return -EINVAL;
	held = malloc(sizeof *held);
	if (!held)
		return -ENOMEM;
	*held = (struct held){.id = id, .fd = fd, .flags = KEEPER_STORE};
	insert_held(holding, held);
	return 0;
}
