/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Screening: no connection whose queue may hold a peer's files is gmemd's to close.
 *
 * From gmemd's start on peers can't send files (passrights.h). Those who connected before could: to
 * a socket that the service manager has made, or to an older gmemd. gmemd-screener accepts the
 * first, and gives back those without files; it is given the second as soon as they are found. It
 * keeps those with files, and ends with them, however long that takes.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "daemon/request/peer_ledger.h"
#include "kernel/base/tree.h"

struct gmemd;
struct screening;

/* gmemd must outlive it, and it must outlive the fd store. -ENOMEM. */
int screening_new(struct gmemd *gmemd, struct screening **ret);
/* What is under way is not told. Takes NULL, returns NULL. */
struct screening *screening_free(struct screening *screening);

/* Those who wait at a listening socket. Called from the loop. */
struct screening_listener {
	int fd; /* stays the caller's, and open until it is done */
	/* One without files, unread, as they have come. */
	void (*harmless)(struct screening_listener *listener, int take_fd);
	/* Others may be accepted. Not all may have been screened: screening_takes() tells. */
	void (*done)(struct screening_listener *listener);
};

/* -ENOMEM. */
int screening_begin(struct screening *screening, struct screening_listener *listener);
/* It is not told any more. */
void screening_forget(struct screening *screening, struct screening_listener *listener);

/* To be asked of each connection before anything is done with it. True where its queue may have
 * files: then it is taken over, with what is noted of it and held by the keeper. */
bool screening_takes(struct screening *screening, const struct peer_entry *entry, int connection);
