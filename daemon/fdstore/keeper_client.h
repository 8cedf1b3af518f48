/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd's side of gmemd-keeper: what is put there outlives gmemd.
 *
 * A request that was sent is carried out by the keeper, whatever becomes of who has sent it. So
 * gmemd posts its requests and reads their answers when they come; only at its start it waits for
 * them. After an error of the connection itself (-ETIMEDOUT, -ECONNRESET, -EPIPE, -EBADMSG,
 * -EPROTONOSUPPORT) all later calls fail with it: connect again, and put everything again if the
 * keeper is another one. So does a keeper_take() that fails with -EMFILE. Functions return 0 or a
 * negative errno.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/keeper/packet.h"

/* Requests without an answer, at most: fewer than the keeper's queue takes of the longest. */
#define KEEPER_POSTED_MAX 256

struct keeper_client;

/* Starting */

/* Starts the gmemd-keeper beside this program, or else the installed one, in a session of its own.
 * *ret_pid ends with success when it serves, or another one does; it is to be waited for. -EACCES
 * where it could make no socket there, -ENOENT where there is no such program. */
int keeper_spawn(const char *runtime_directory, pid_t *ret_pid);
/* Waits until that has ended, and ends it if it takes too long. -ECHILD where it fails,
 * which it says on stderr. */
int keeper_await_spawned(pid_t pid);

/* Connecting */

/* Whether an error of connecting says that no keeper serves there: one ends, or none has begun. */
static inline bool keeper_is_missing(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE;
}

/* Whether it says nothing of the keeper: this process lacks what it takes to ask it. */
static inline bool keeper_is_unknown(int r)
{
	return r == -EMFILE || r == -ENFILE || fd_packet_is_short(r);
}

/* Waits until the keeper has answered. -ENOENT or -ECONNREFUSED where none serves, -EPERM where it
 * is another user's, -EBUSY where too many are connected. */
int keeper_connect(const char *runtime_directory, struct keeper_client **ret);
/* The same without waiting: it is greeted, and the first answer tells whether it serves this
 * process. -EAGAIN where too many wait for it already. */
int keeper_reach(const char *runtime_directory, struct keeper_client **ret);
/* What it holds stays there. Takes NULL, returns NULL. */
struct keeper_client *keeper_free(struct keeper_client *keeper);

/* How long functions that wait do so for an answer: 2 seconds, unless it is changed. */
void keeper_set_patience(struct keeper_client *keeper, unsigned milliseconds);

/* The error of the connection itself; 0: none. */
int keeper_fault(const struct keeper_client *keeper);
/* To be watched: readable where there is an answer, or at the keeper's end. Owned by the keeper. */
int keeper_fd(const struct keeper_client *keeper);
/* As of the connection's beginning, or of the last KEEPER_HELLO that was answered. A keeper that
 * was started at another time is another one. NULL before the first answer. */
const struct keeper_report *keeper_report(const struct keeper_client *keeper);

/* Posting: nothing here waits */

/*
 * Sends a request. The fds stay the caller's. Nothing is sent with -EAGAIN, where the keeper has as
 * many requests to answer as its queue takes; with -ETOOMANYREFS, where too many files are on their
 * way; with -EBADF and -ENOMEM. Requests are numbered, *ret_serial, one after another.
 */
int keeper_post(struct keeper_client *keeper, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, uint32_t count, uint64_t *ret_serial);
/* Requests that have no answer yet. */
unsigned keeper_unanswered(const struct keeper_client *keeper);
/*
 * The answer to the oldest of them, with its serial; the caller clears it. -EAGAIN where there is
 * none yet. That of a KEEPER_ACCEPT whose file this process could not receive is -EMFILE itself.
 */
int keeper_next_answer(struct keeper_client *keeper, struct keeper_packet *ret);

/* Waiting */

/* Waits for the answers to all that was posted, and returns the first error of them. With nothing
 * posted, says whether the keeper is there. */
int keeper_await_posted(struct keeper_client *keeper);

/*
 * Hands each that it holds to take, in the order of the ids, with a fd that belongs to take from
 * then on. Ends early, with its result, where take returns another than 0. What is put meanwhile
 * may be among them. -EMFILE where this process can't hold as many.
 */
int keeper_take(struct keeper_client *keeper,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context);
