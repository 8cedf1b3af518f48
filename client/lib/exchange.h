/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests and their answers on one connection, by who has its turn.
 */
#pragma once

#include "client/lib/transport.h"

/* What goes with a request, and what came with its answer. */
struct exchange {
	bool repeated;           /* after another connection: gmemd may have done it before */
	struct fd_list received; /* the caller's to take from and to close */
	/* The result is wanted for its text alone: it is not made a value of where libgmem itself
	 * has nothing to learn from it, and can only be printed then. */
	bool as_text;
};

/* -ECONNRESET where the connection is broken, -ETIMEDOUT where there was no sign of gmemd for too
 * long. Else as connection_request(). */
int connection_exchange(struct gmem *gmem, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result);
int exchange_send(struct gmem *gmem, struct json_object *message);
/*
 * What has come; its fds are in gmem->packet. -EAGAIN where there is nothing. *ret_message is the
 * caller's.
 */
int exchange_receive(struct gmem *gmem, struct json_object **ret_message);

/*
 * Notifications that gmemd may not have read: what has become of calls, mostly. They are sent again
 * where the connection breaks, and are forgotten once something that was sent behind them is
 * answered. One that could not be sent, for another thread has waited for gmemd in vain, goes with
 * whatever is sent next: a report that is given up would leave its call waiting for ever.
 */

/* Takes it. Needs no turn, as those below do. */
void unconfirmed_add(struct gmem *gmem, struct json_object *take_notification);
/* Sends those that were not sent on this connection. -ECONNRESET, -ETIMEDOUT. */
int unconfirmed_send(struct gmem *gmem);
/* The connection is another. */
void unconfirmed_begin_again(struct gmem *gmem);
/* What was sent is read. */
void unconfirmed_forget_sent(struct gmem *gmem);
