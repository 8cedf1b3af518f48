/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fd store: the files that outlive gmemd, because gmemd-keeper holds them.
 *
 * A file is put there before gmemd acknowledges what depends on it: it is sent, which is enough,
 * for the keeper carries out what was sent, whatever becomes of gmemd. Nothing waits for its
 * answers. A keeper that does not answer is stalled: what was begun is still sent, up to what its
 * queue takes, and fdstore_readiness() says whether more may begin. Where the keeper dies, another
 * one is found or started and everything put again, a part whenever there is room. Where none can
 * be had, gmemd says so in its log and serves on: then its VMs don't outlive it.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/stage.h"
#include "daemon/fdstore/fdstore_table.h"
#include "kernel/base/tree.h"

struct fdstore;

/* Waits for a keeper that is there, and holds what is to be taken over. -ETIMEDOUT or -EBUSY where
 * it doesn't answer; -ENOMEM. Without a keeper nothing is held. stages stays the caller's. */
int fdstore_new(struct event_base *base, const char *runtime_directory, struct stages *stages,
	struct fdstore **ret);
/* What is held stays so. Takes NULL, returns NULL. */
struct fdstore *fdstore_free(struct fdstore *fdstore);

/* fdstore may be NULL: then nothing is held. */

enum fdstore_readiness {
	FDSTORE_READY,  /* for what a request would put */
	FDSTORE_BEHIND, /* its queue is full, and it has answered a moment ago */
	FDSTORE_STALLED,
};

enum fdstore_readiness fdstore_readiness(const struct fdstore *fdstore);

/* Of a keeper that is behind: ready is called, once, from the loop, when it isn't any more. */
struct fdstore_waiter {
	TAILQ_ENTRY(fdstore_waiter) link;
	void (*ready)(struct fdstore_waiter *waiter);
};

void fdstore_wait(struct fdstore *fdstore, struct fdstore_waiter *waiter);
void fdstore_forget_waiter(struct fdstore *fdstore, struct fdstore_waiter *waiter);

/* The fds stay the caller's, and are to be dropped before they are closed. All of them are held, or
 * none. */
void fdstore_put(
	struct fdstore *fdstore, const struct keeper_id *ids, const int *fds, size_t count);
void fdstore_put_one(
	struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member, int fd);
/* The same for what no answer depends on: it is put when there is room. */
void fdstore_put_later(
	struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member, int fd);
void fdstore_drop(struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner, uint64_t member);
/* The same; the file is closed by the closer as soon as the keeper doesn't hold it, so that the
 * keeper's reference is not the last; without a keeper, at once. */
void fdstore_release(struct fdstore *fdstore, enum fdstore_kind kind, uint64_t owner,
	uint64_t member, int take_fd, struct fdstore_closer *closer);

/* Accepting */

/* Connections come from a listener that is held, and are held from their beginning. */
struct fdstore_acceptance {
	TAILQ_ENTRY(fdstore_acceptance) link;
	struct keeper_id listener, connection;
	/*
	 * Called once, from the loop; take_fd where result is 0. -EAGAIN where none waits,
	 * -ENOENT where there is no keeper, or it doesn't hold the listener. With -EMFILE and
	 * -ETOOMANYREFS it may hold the connection: ask again for that same one.
	 */
	void (*accepted)(struct fdstore_acceptance *acceptance, int result, int take_fd);
	uint64_t serial; /* of the request; 0: not posted yet */
	bool asked;      /* it is the fd store's */
	bool posted;     /* to a keeper, for this connection, which one may hold since */
};

/* False where there is no keeper to ask. listener, connection and accepted are set; posted is not,
 * for another connection than the last. */
bool fdstore_accept(struct fdstore *fdstore, struct fdstore_acceptance *acceptance);
/* Its answer is of no interest any more; what was asked for is done all the same. */
void fdstore_accept_cancel(struct fdstore *fdstore, struct fdstore_acceptance *acceptance);
/* How long who connects is to wait for the keeper, in milliseconds. */
unsigned fdstore_patience(const struct fdstore *fdstore);

/* At the start and at the end, which wait */

/*
 * Makes room for as many files as are held and some more, where there are no threads yet. Later the
 * kernel waits for an RCU grace period, some milliseconds, each time that it doubles a process's
 * table of files.
 */
void fdstore_make_room(struct fdstore *fdstore);

/* Hands over all that is held; see keeper_take(). What take has is to be dropped before it is
 * closed. -ETIMEDOUT and -ETOOMANYREFS where the keeper is there, and it can't be had now. After
 * what keeper_is_missing() knows the keeper may be there or not: fdstore_find_again(). */
int fdstore_take(struct fdstore *fdstore,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context);

/* After that: finds the keeper, or another one, as fdstore_new() does. What has been taken is the
 * taker's to close, and none of it is held for it any more. */
int fdstore_find_again(struct fdstore *fdstore);

/* Waits for the answer to what fdstore_accept() has asked, unless the keeper is stalled. */
void fdstore_accept_wait(struct fdstore *fdstore, const struct fdstore_acceptance *acceptance);

/* How long the start of gmemd, and its end, wait for the keeper to take what is sent. */
#define FDSTORE_SEND_MS 2000

/* Waits until all is sent, for a keeper that answers. */
void fdstore_await_sent(struct fdstore *fdstore, unsigned milliseconds);

/* gmemd ends, and a successor is to find all that outlives it as it is now: whoever has a part of
 * that asks, and leaves it alone from then on. */
void fdstore_leave(struct fdstore *fdstore);
bool fdstore_is_left(const struct fdstore *fdstore);

/* Telling */

enum fdstore_state {
	FDSTORE_STATE_HELD,
	FDSTORE_STATE_STALLED, /* the keeper doesn't answer */
	FDSTORE_STATE_GONE,    /* there is none, or not all has been put to it yet */
};

struct fdstore_report {
	enum fdstore_state state;
	size_t held;                        /* files */
	const struct keeper_report *keeper; /* its last; NULL: there was none */
};

/* Without asking anybody. */
void fdstore_describe(const struct fdstore *fdstore, struct fdstore_report *ret);
