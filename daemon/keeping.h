/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd's side of gmemd-keeper: what is put there outlives gmemd.
 *
 * A call waits for the keeper, which answers at once, for 2 seconds at most (-ETIMEDOUT). Requests
 * can also be posted, several in a row, and settled together: that takes one round trip. After an
 * error of the connection itself (-ETIMEDOUT, -ECONNRESET, -EPIPE, -EBADMSG, -EPROTONOSUPPORT) all
 * later calls fail with it: connect again, and put everything again if the keeper is another one.
 * So does a keeper_take() that fails with -EMFILE. Functions return 0 or a negative errno.
 */
#pragma once

#include <stddef.h>

#include "daemon/keeper_protocol.h"

struct keeper;

/*
 * Makes sure that a keeper serves in the runtime directory: where none does, starts the
 * gmemd-keeper beside this program, or else the installed one, in a session of its own, and returns
 * when it serves. It ends by itself when it is of no use. -ENOENT where there is no such program,
 * -ECHILD where it fails, which it says on stderr. -EACCES where the socket there is another
 * user's, or this one may make none.
 */
int keeper_start(const char *runtime_directory);

/* -ENOENT or -ECONNREFUSED where none serves, -EPERM where it is another user's, -EBUSY where too
 * many are connected. */
int keeper_connect(const char *runtime_directory, struct keeper **ret);
/* What it holds stays there. Takes NULL, returns NULL. */
struct keeper *keeper_free(struct keeper *keeper);

/* The error of the connection itself; 0: none. */
int keeper_fault(const struct keeper *keeper);
/* To be watched for the keeper's end: readable then, or when there is something to settle. Owned by
 * the keeper. */
int keeper_fd(const struct keeper *keeper);
/* As of the connection's beginning, or of the last keeper_refresh(). A keeper that was started at
 * another time is another one. */
const struct keeper_report *keeper_report(const struct keeper *keeper);
int keeper_refresh(struct keeper *keeper);

/*
 * Puts fds, which stay the caller's, too; an id that is there already is replaced. Of each
 * KEEPER_BATCH of them all are held or none. flags: of enum keeper_flag. -EMFILE where it can't
 * hold as many.
 */
int keeper_put(struct keeper *keeper, const struct keeper_id *ids, const int *fds, size_t count,
	unsigned flags);
/* An id that isn't there is no error. */
int keeper_drop(struct keeper *keeper, const struct keeper_id *ids, size_t count);

/* The same without waiting, but for the first answers where very many are posted. */
int keeper_post_put(struct keeper *keeper, const struct keeper_id *ids, const int *fds,
	size_t count, unsigned flags);
int keeper_post_drop(struct keeper *keeper, const struct keeper_id *ids, size_t count);
/* Waits for the answers to all that was posted, and returns the first error of them. With nothing
 * posted, says whether the keeper is there. */
int keeper_settle(struct keeper *keeper);

/* Has it accept a connection at a listening socket that it holds, and hold that too. The caller
 * owns *ret_fd. -EAGAIN where none waits, -ENOENT where it holds no such socket. -EMFILE where it
 * can hold no more, or this process can't: then the connection has been ended. */
int keeper_accept(struct keeper *keeper, const struct keeper_id *listener,
	const struct keeper_id *connection, int *ret_fd);

/*
 * Hands each that it holds to take, in the order of the ids, with a fd that belongs to take from
 * then on. Ends early, with its result, where take returns another than 0. What is put meanwhile
 * may be among them. -EMFILE where this process can't hold as many.
 */
int keeper_take(struct keeper *keeper,
	int (*take)(const struct keeper_id *id, int fd, void *context), void *context);
