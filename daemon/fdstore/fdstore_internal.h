/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fd store's own files share. Nobody else includes this.
 *
 * What is put and dropped waits in a table (fdstore_table.h) until it can be sent
 * (fdstore_queue.c), and so do the connections that the keeper is asked for (fdstore_acceptance.c);
 * fdstore_sending.c sends what has room. Its answers and its end come as events (fdstore_keeper.c),
 * and let those go on who have waited (fdstore_readiness.c). The start and the end of gmemd wait
 * for them (fdstore_waiting.c).
 */
#pragma once

#include "daemon/base/timer_file.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/fdstore/keeper_search.h"

/* For a keeper that is there, at the start. */
#define START_SECONDS 20

/* How long a keeper may take to answer until it is stalled. */
#define STALLED_MS 100

TAILQ_HEAD(acceptance_list, fdstore_acceptance);

struct fdstore {
	struct event_base *base;
	const char *runtime_directory;
	struct stages *stages; /* of requests */
	struct keeper_search *search;
	struct keeper_client *keeper; /* NULL: there is none now */
	struct fdstore_table table;
	struct acceptance_list acceptances; /* those that are posted come first */
	TAILQ_HEAD(, fdstore_waiter) waiters;
	struct timer_file *tick;
	struct event *answered, *retry, *lateness;
	struct keeper_report report; /* the last one's */
	bool reported;
	bool left;     /* a successor is to find all as it is */
	bool complete; /* all that was to be put when the keeper was found, is */
	bool missing;  /* none can be had now */
	bool said_gone, said_missing, said_stalled, said_full;
	unsigned n_ends; /* of keepers that had not answered yet, in a row */
	int64_t heard;   /* CLOCK_MONOTONIC, milliseconds: of the keeper, or since it is asked */
	size_t files_max;
};

/* Sending */

/* CLOCK_MONOTONIC. */
int64_t fdstore_now_ms(void);
/* Whether there is a keeper that serves, as far as is known. */
bool fdstore_serves(const struct fdstore *fdstore);
/* See keeper_post(). */
int fdstore_post(struct fdstore *fdstore, enum keeper_operation operation, unsigned flags,
	const struct keeper_id *ids, const int *fds, uint32_t count, uint64_t *ret_serial);
/* r: why a request was not sent. It is tried again when there is an answer, or soon. */
void fdstore_wait_for_room(struct fdstore *fdstore, int r);
/* Both return 0 where all of it is sent. */
int fdstore_send_urgent(struct fdstore *fdstore);
int fdstore_send_rest(struct fdstore *fdstore);
/* What waits and has room now. */
void fdstore_send_all(struct fdstore *fdstore);
/* A timer's. */
void fdstore_retry(evutil_socket_t fd, short what, void *context);

/* Accepting */

void fdstore_ask_for_connections(struct fdstore *fdstore);
void fdstore_take_connection(struct fdstore *fdstore, struct keeper_packet *answer);
/* Connections that a keeper was asked for are asked of the next one. */
void fdstore_ask_anew(struct fdstore *fdstore);
/* There is no keeper. What one was asked for it may have accepted: that is asked for once it is
 * back, for nobody else has it. */
void fdstore_refuse_all(struct fdstore *fdstore);

/* Waiting */

/* How long the keeper has left a request unanswered, in milliseconds. */
int64_t fdstore_silence(const struct fdstore *fdstore);
void fdstore_wake_waiters(struct fdstore *fdstore);
/* A timer's. */
void fdstore_look_for_lateness(evutil_socket_t fd, short what, void *context);

/* Keepers */

int fdstore_take_answers(struct fdstore *fdstore);
/* At the start, which waits for it. */
int fdstore_find_first(struct fdstore *fdstore);
void fdstore_disconnect(struct fdstore *fdstore);
/* The search's. */
void fdstore_keeper_found(void *context, struct keeper_client *take_keeper);
void fdstore_keeper_missed(void *context, int r);
/* A timer's, which it sets again. */
void fdstore_tick(void *context);
