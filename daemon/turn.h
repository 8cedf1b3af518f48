/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A turn: one packet of a peer's, from its arrival until its answer is sent.
 *
 * Where gmemd has a successor, the packet stays in the socket's queue until then, with its files. A
 * successor finds it there, carries out what its predecessor has not, answers what it has done
 * without doing it again, and sends no answer twice.
 */
#pragma once

#include "daemon/peer_ledger.h"
#include "protocol/packet.h"

struct gmemd;
struct request;
struct json_object;

struct turn {
	struct gmemd *gmemd;
	struct peer_ledger *ledger; /* NULL: nothing of it outlives gmemd */
	int fd;                     /* the peer's; not owned */
	uint64_t peer;
	uint64_t number; /* 0: none is under way */
	struct owed_place owed;
	struct inherited_answers inherited;       /* of the packet that waits */
	struct inherited_answers inherited_later; /* that come out of turn */
	/* The packet may have been a predecessor's, who has carried out a part of it. */
	bool again;
	struct later
		*later; /* that the packet has brought about; NULL: none, or answered already */
};

/* An answer that comes out of turn, and where a successor finds that it is owed. */
struct later {
	uint64_t request;
	struct owed_place place;
};

/* gmemd and fd stay the caller's. */
void turn_init(struct turn *turn, struct gmemd *gmemd, const struct peer_entry *entry, int fd);
/* The peer is gone. */
void turn_clear(struct turn *turn);

/* What a predecessor has left of the peer's: finishes the turn whose answer it has sent, and
 * forgets what it owed and gave. To be done for all peers before anything is sent: that only the
 * marks of what was sent last tell. */
void turn_inherit(struct turn *turn);
/* The next answer that a predecessor owed out of turn, which is the caller's from then on; its
 * place is to be settled when it is sent. False where there is none. */
bool turn_take_later(struct turn *turn, struct inherited_answer **ret);

/* The next packet. Errors are packet_receive()'s. */
int turn_begin(struct turn *turn, struct packet *packet);
/* Sends its answer, or the one that is later. Errors are packet_send()'s. The fds stay the
 * caller's. */
int turn_send(struct turn *turn, struct later *later, const char *bytes, size_t length,
	const struct fd_list *fds);
/* The answer is sent, or there is none to send. */
void turn_end(struct turn *turn);

/* Gives the request its number. */
void turn_number(struct turn *turn, struct request *request);
/* The answer that a predecessor owed to the request, with its files; false where it owed none.
 * *ret is NULL where it was to have none. */
bool turn_take_inherited(struct turn *turn, struct request *request, struct json_object **ret);
/* Has a successor answer so, if what the request has changed is committed. answer: NULL for none.
 */
void turn_owe(struct turn *turn, const struct request *request, struct json_object *answer);
/* Has a successor answer the request, which is answered later, that it be repeated. */
void turn_owe_later(struct turn *turn, const struct request *request, struct later *ret);
/* It was not sent, and won't be. */
void turn_forget_later(struct turn *turn, struct later *later);
