/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A keeper's client that waits for its answers, which gmemd never does.
 */
#pragma once

#include "daemon/fdstore/keeper_client.h"

/*
 * Makes sure that a keeper serves in the runtime directory: where none does, starts one and returns
 * when it serves. It ends by itself when it is of no use. -ENOENT where there is no such program,
 * -ECHILD where it fails, which it says on stderr.
 */
int keeper_start(const char *runtime_directory);
/*
 * Puts fds, which stay the caller's, too; an id that is there already is replaced. Of each
 * KEEPER_BATCH of them all are held or none. flags: of enum keeper_flag. -EMFILE where it can't
 * hold as many.
 */
int keeper_put(struct keeper_client *keeper, const struct keeper_id *ids, const int *fds,
	size_t count, unsigned flags);
/* An id that isn't there is no error. */
int keeper_drop(struct keeper_client *keeper, const struct keeper_id *ids, size_t count);

/* The same, but it waits for answers only where very many are posted. */
int keeper_post_put(struct keeper_client *keeper, const struct keeper_id *ids, const int *fds,
	size_t count, unsigned flags);
int keeper_post_drop(struct keeper_client *keeper, const struct keeper_id *ids, size_t count);
