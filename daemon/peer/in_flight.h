/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in flight: sent to peers, and not received yet.
 *
 * The kernel counts them for all that gmemd's user sends, to any peer, against RLIMIT_NOFILE
 * (ETOOMANYREFS, unix(7)). So a peer is sent files only while its queue is empty, and each user can
 * have a sixteenth of the limit in flight. That a peer has received what it was sent, it is asked
 * when somebody needs the room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

struct in_flight;
struct in_flight_user;

/* One connection's. */
struct in_flight_peer {
	TAILQ_ENTRY(in_flight_peer) link; /* among its user's with files in flight */
	struct in_flight_user *user;      /* NULL: it has none */
	int fd;                           /* the connection; not owned */
	size_t count;
};

/* -ENOMEM. */
int in_flight_new(struct in_flight **ret);
/* Takes NULL, returns NULL. All peers must be done with. */
struct in_flight *in_flight_free(struct in_flight *in_flight);

/* fd stays the caller's, and open until in_flight_end(). */
void in_flight_begin(struct in_flight_peer *peer, int fd);
/* The connection is no more. */
void in_flight_end(struct in_flight_peer *peer);

/*
 * Charges so many files to the user, before they are sent. -EAGAIN where the peer has not received
 * all that it was sent before, -EDQUOT where its user has too many in flight, -ENOMEM.
 */
int in_flight_charge(
	struct in_flight *in_flight, struct in_flight_peer *peer, uid_t uid, size_t count);
/* They were not sent after all. */
void in_flight_give_back(struct in_flight_peer *peer);
/* Whether the peer has not received files that it was sent. */
bool in_flight_any(struct in_flight_peer *peer);
