/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in flight. See in_flight.h.
 */
#include "daemon/peer/in_flight.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "kernel/base/tree.h"

/* What one user can have of all that may be in flight. */
#define SHARE 16

/* Peers that are asked whether they have received theirs, each time that the room is used up. */
#define ASKED_MAX 16

TAILQ_HEAD(in_flight_peers, in_flight_peer);

struct in_flight_user {
	RB_ENTRY(in_flight_user) link;
	struct in_flight *in_flight;
	uid_t uid;
	size_t count;
	struct in_flight_peers peers;
};

RB_HEAD(in_flight_tree, in_flight_user);

struct in_flight {
	struct in_flight_tree users;
};

static int in_flight_user_compare(struct in_flight_user *a, struct in_flight_user *b)
{
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

RB_GENERATE_LOCAL(in_flight_tree, in_flight_user, link, in_flight_user_compare)

int in_flight_new(struct in_flight **ret)
{
	struct in_flight *in_flight = calloc(1, sizeof *in_flight);

	if (!in_flight)
		return -ENOMEM;
	RB_INIT(&in_flight->users);
	*ret = in_flight;
	return 0;
}

struct in_flight *in_flight_free(struct in_flight *in_flight)
{
	free(in_flight);
	return NULL;
}

/* As it is now: an operator may have changed it. */
static size_t limit_of_user(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < SHARE)
		return 1;
	return limit.rlim_cur / SHARE;
}

static struct in_flight_user *find_user(struct in_flight *in_flight, uid_t uid)
{
	struct in_flight_user key = {.uid = uid}, *user;

	user = RB_FIND(in_flight_tree, &in_flight->users, &key);
	if (user)
		return user;
	user = calloc(1, sizeof *user);
	if (!user)
		return NULL;
	user->in_flight = in_flight;
	user->uid = uid;
	TAILQ_INIT(&user->peers);
	RB_INSERT(in_flight_tree, &in_flight->users, user);
	return user;
}

static void free_unused(struct in_flight_user *user)
{
	if (!TAILQ_EMPTY(&user->peers))
		return;
	RB_REMOVE(in_flight_tree, &user->in_flight->users, user);
	free(user);
}

/* The peer is no more among its user's. */
static void forget_peer(struct in_flight_peer *peer)
{
	struct in_flight_user *user = peer->user;

	TAILQ_REMOVE(&user->peers, peer, link);
	user->count -= peer->count;
	peer->count = 0;
	peer->user = NULL;
}

static void release_received(struct in_flight_peer *peer)
{
	struct in_flight_user *user = peer->user;

	if (!user)
		return;
	forget_peer(peer);
	free_unused(user);
}

/*
 * The kernel wakes who waits for room while a packet that was received still counts for one byte
 * (sock_wfree()), and not again once it counts for none: who took that byte for a packet would wait
 * for ever. No packet counts for less than its struct sk_buff.
 */
#define PACKET_BYTES_MIN 128

/* What was sent and nobody has received: packets, in bytes and what the kernel takes for them. */
static bool has_received_all(const struct in_flight_peer *peer)
{
	int unread;

	return ioctl(peer->fd, SIOCOUTQ, &unread) < 0 || unread < PACKET_BYTES_MIN;
}

/* Those that were not asked for longest come first. */
static void ask_peers(struct in_flight_user *user)
{
	struct in_flight_peer *peer = TAILQ_FIRST(&user->peers), *next, *first = NULL;

	for (unsigned i = 0; peer && peer != first && i < ASKED_MAX; i++, peer = next) {
		next = TAILQ_NEXT(peer, link);
		if (has_received_all(peer)) {
			forget_peer(peer);
			continue;
		}
		TAILQ_REMOVE(&user->peers, peer, link);
		TAILQ_INSERT_TAIL(&user->peers, peer, link);
		if (!first)
			first = peer;
	}
}

void in_flight_begin(struct in_flight_peer *peer, int fd)
{
	*peer = (struct in_flight_peer){.fd = fd};
}

void in_flight_end(struct in_flight_peer *peer)
{
	release_received(peer);
}

int in_flight_charge(
	struct in_flight *in_flight, struct in_flight_peer *peer, uid_t uid, size_t count)
{
	size_t limit = limit_of_user();
	struct in_flight_user *user;

	if (!has_received_all(peer))
		return -EAGAIN;
	release_received(peer);
	user = find_user(in_flight, uid);
	if (!user)
		return -ENOMEM;
	if (user->count + count > limit)
		ask_peers(user);
	/* One answer's at least: it must go out some time. */
	if (user->count > 0 && user->count + count > limit) {
		free_unused(user);
		return -EDQUOT;
	}
	user->count += count;
	peer->count = count;
	peer->user = user;
	TAILQ_INSERT_TAIL(&user->peers, peer, link);
	return 0;
}

void in_flight_give_back(struct in_flight_peer *peer)
{
	release_received(peer);
}

bool in_flight_any(struct in_flight_peer *peer)
{
	if (peer->user && has_received_all(peer))
		release_received(peer);
	return peer->user;
}
