/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Custody: the files that outlive gmemd, because gmemd-keeper holds them.
 *
 * A file is put there before gmemd acknowledges what depends on it. Where the keeper dies, another
 * one is found or started and everything put again. Where none can be had, gmemd says so in its log
 * and serves on: then its VMs don't outlive it.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keeper_protocol.h"

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

/* Puts everything that is to be held; called where the keeper is a new one. */
typedef void custody_put_all(struct custody *custody, void *context);

/* Never fails but for memory, -ENOMEM: without a keeper nothing is held. */
int custody_new(struct event_base *base, const char *runtime_directory, custody_put_all *put_all,
	void *context, struct custody **ret);
/* What is held stays so. Takes NULL, returns NULL. */
struct custody *custody_free(struct custody *custody);

/* custody may be NULL: then nothing is held. The fds stay the caller's. */
void custody_put(
	struct custody *custody, const struct keeper_id *ids, const int *fds, size_t count);
void custody_put_one(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd);
/* The same without waiting: it is there as soon as the keeper gets round to it. */
void custody_post_one(
	struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member, int fd);
/* A connection at a listener that is held, which is held from its beginning. *ret_fd is the
 * caller's. -EAGAIN where none waits, -ENOENT where the listener is not held. */
int custody_accept(struct custody *custody, const struct keeper_id *listener,
	const struct keeper_id *connection, int *ret_fd);
void custody_drop(struct custody *custody, enum custody_kind kind, uint64_t owner, uint64_t member);

/* While it is held back, puts are not waited for; the end of that waits for all of them. */
void custody_hold(struct custody *custody, bool hold);

/*
 * Makes room for as many files as are held and some more, where there are no threads yet. Later the
 * kernel waits for an RCU grace period, some milliseconds, each time that it doubles a process's
 * table of files.
 */
void custody_make_room(struct custody *custody);

/* Hands over all that is held; see keeper_take(). */
int custody_take(struct custody *custody,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context);
/* How many keepers there have been: what was put to one before this one is not there. */
unsigned custody_keepers(const struct custody *custody);
/* As of now. NULL where there is no keeper. */
const struct keeper_report *custody_report(struct custody *custody);
