/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Custody: the files that outlive gmemd, because gmemd-keeper holds them.
 *
 * A file is put there before gmemd acknowledges what depends on it: it is sent, for what was sent
 * the keeper carries out, whatever becomes of gmemd. Nothing waits for its answers. A keeper that
 * does not answer is stalled: what was begun is still sent, up to what its queue takes, and
 * custody_readiness() says whether more may begin. Where the keeper dies, another one is found or
 * started and everything put again, a part whenever there is room. Where none can be had, gmemd
 * says so in its log and serves on: then its VMs don't outlive it.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/fdstore/fdstore_table.h"
#include "kernel/base/tree.h"

/* What an id is of: its kind. */
enum custody_kind {
	CUSTODY_LISTENER = 1, /* owner: which; member: the inode of its path, 0: passed */
	CUSTODY_PEER,         /* owner: the peer's number */
	CUSTODY_PEERS,        /* what there is of all of them */
	/* owner of this and those below: the VM's number, whose process's life they share */
	CUSTODY_VM_LEDGER = KEEPER_OWNED_KINDS,
	CUSTODY_VM_FRAMES,
	CUSTODY_VM_MAILBOX,
	CUSTODY_VM_GATE,
	CUSTODY_VM_PROCESS,
	CUSTODY_MEMORY, /* member: its id */
};

struct custody;

/* Waits for a keeper that is there, and holds what is to be taken over. -ETIMEDOUT or -EBUSY where
 * it doesn't answer; -ENOMEM. Without a keeper nothing is held. */
int custody_new(struct event_base *base, const char *runtime_directory, struct custody **ret);
/* What is held stays so. Takes NULL, returns NULL. */
struct custody *custody_free(struct custody *custody);

/* custody may be NULL: then nothing is held. */

enum custody_readiness {
	CUSTODY_READY,  /* for what a request would put */
	CUSTODY_BEHIND, /* its queue is full, and it has answered a moment ago */
	CUSTODY_STALLED,
};

enum custody_readiness custody_readiness(const struct custody *custody);

/* Of a keeper that is behind: ready is called, once, from the loop, when it isn't any more. */
struct custody_waiter {
	TAILQ_ENTRY(custody_waiter) link;
	void (*ready)(struct custody_waiter *waiter);
};

void custody_wait(struct custody *custody, struct custody_waiter *waiter);
void custody_forget_waiter(struct custody *custody, struct custody_waiter *waiter);

/* The fds stay the caller's, and are to be dropped before they are closed. All of them are held, or
 * none. */
void custody_put(
	struct custody *custody, const struct keeper_id *ids, const int *fds, size_t count);
void custody_put_one(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd);
/* The same for what no answer depends on: it is put when there is room. */
void custody_put_later(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd);
void custody_drop(struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member);
/* The same; the file is closed by the closer as soon as the keeper doesn't hold it, so that the
 * keeper's reference is not the last. */
void custody_release(struct custody *custody, enum custody_kind kind, uint64_t owner,
	uint64_t member, int take_fd, struct custody_closer *closer);

/* Accepting */

/* Connections come from a listener that is held, and are held from their beginning. */
struct custody_acceptance {
	TAILQ_ENTRY(custody_acceptance) link;
	struct keeper_id listener, connection;
	/*
	 * Called once, from the loop; take_fd where result is 0. -EAGAIN where none waits,
	 * -ENOENT where there is no keeper, or it doesn't hold the listener. With -EMFILE and
	 * -ETOOMANYREFS it may hold the connection: ask again for that same one.
	 */
	void (*accepted)(struct custody_acceptance *acceptance, int result, int take_fd);
	uint64_t serial; /* of the request; 0: not posted yet */
	bool asked;      /* it is custody's */
};

/* False where there is no keeper to ask. listener, connection and accepted are set. */
bool custody_accept(struct custody *custody, struct custody_acceptance *acceptance);
/* Its answer is of no interest any more; what was asked for is done all the same. */
void custody_accept_cancel(struct custody *custody, struct custody_acceptance *acceptance);
/* How long who connects is to wait for the keeper, in milliseconds. */
unsigned custody_patience(const struct custody *custody);

/* At the start and at the end, which wait */

/*
 * Makes room for as many files as are held and some more, where there are no threads yet. Later the
 * kernel waits for an RCU grace period, some milliseconds, each time that it doubles a process's
 * table of files.
 */
void custody_make_room(struct custody *custody);

/* Hands over all that is held; see keeper_take(). What take has is to be dropped before it is
 * closed. -ETIMEDOUT and -ETOOMANYREFS where the keeper is there, and it can't be had now. */
int custody_take(struct custody *custody,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context);

/* Waits for the answer to what custody_accept() has asked, unless the keeper is stalled. */
void custody_accept_wait(struct custody *custody, const struct custody_acceptance *acceptance);

/* Waits until all is sent, for a keeper that answers. */
void custody_settle(struct custody *custody, unsigned milliseconds);

/* Telling */

enum custody_state {
	CUSTODY_STATE_HELD,
	CUSTODY_STATE_STALLED, /* the keeper doesn't answer */
	CUSTODY_STATE_GONE,    /* there is none, or not all has been put to it yet */
};

struct custody_report {
	enum custody_state state;
	size_t held;                        /* files */
	const struct keeper_report *keeper; /* its last; NULL: there was none */
};

/* Without asking anybody. */
void custody_describe(const struct custody *custody, struct custody_report *ret);
