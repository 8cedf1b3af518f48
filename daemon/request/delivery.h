/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivery: one packet of a peer's, from its arrival until its answer is sent.
 *
 * What a peer has asked is carried out once and answered once, however often gmemd is killed
 * meanwhile. That rests on the order in which things are written to memory that the keeper holds:
 *
 *  1. recvmmsg(2) writes the packet to the receive area, which all peers share, and then the mark
 *     that it is there (syscall_marks.h). The packet leaves the socket's queue in that very call.
 *  2. A request that changes something is carried out. Its answer is written to the ledger of
 * peers, as owed under the request's number, and committed there.
 *  3. The VM's ledger is committed under the same number, and then that of reservations. From now
 *     on the change stands.
 *  4. sendmmsg(2) sends the answer, and then writes the mark that it is sent.
 *  5. The receive area is free again, and what was owed is deleted.
 *
 * A packet that can't be answered at once moves from the receive area to the ledger of peers
 * (delivery_suspend()), for the area is needed by the next peer. A successor looks for each peer's
 * packet in both places:
 *
 *  | killed before | it finds                             | and                               |
 *  | 1 is done     | no packet, for it is in the queue    | receives it as any                |
 *  | 3 is done     | the packet, and no committed answer  | carries it out as if anew         |
 *  | 4 is done     | the packet, and a committed answer   | sends that, and does nothing again|
 *  | 5 is done     | the packet, and the mark of the sent | forgets it                        |
 *  |               | answer                               |                                   |
 *
 * A request that changes nothing owes no answer: it is carried out again, which does no harm.
 */
#pragma once

#include "daemon/request/peer_ledger.h"
#include "protocol/packet.h"

struct json_object;
struct registry;

/* What is known of a request while its answer is owed. */
struct numbered_request {
	uint64_t number;       /* of all requests; 0: none is needed */
	unsigned order;        /* in the packet */
	enum owed_files files; /* that go with the answer: where a successor has them from */
	uint64_t object;       /* whose they are */
};

struct delivery {
	struct registry *registry;  /* whose VMs and reservations tell what is committed */
	struct peer_ledger *ledger; /* NULL: nothing of it outlives gmemd */
	struct owner *const *owner; /* the peer's, as it is now */
	int fd;                     /* the peer's; not owned */
	uint64_t peer;
	uint64_t number;                    /* 0: none is under way */
	struct owed_place owed;             /* answers */
	struct owed_place kept;             /* the packet, once it has left the receive area */
	struct inherited_answer *packet;    /* a predecessor's; NULL: none */
	struct inherited_answers inherited; /* answers to it */
	struct inherited_answers inherited_later; /* that come out of turn */
	/* The later answer that the packet has brought about; NULL: none, or it is given
	 * already. */
	struct later *later;
};

/* An answer that comes out of turn, and where a successor finds that it is owed. */
struct later {
	uint64_t request;
	struct owed_place place;
};

/* registry, ledger, owner and fd stay the caller's. ledger: NULL where nothing outlives gmemd. */
void delivery_init(struct delivery *delivery, struct registry *registry, struct peer_ledger *ledger,
	const struct peer_entry *entry, struct owner *const *owner, int fd);
/* The peer is gone. */
void delivery_clear(struct delivery *delivery);

/* Takes over what a predecessor has left of the peer's: ends the turn whose answer it has sent, and
 * forgets the answers that it owed and has given. It must be done for all peers before anything is
 * received or sent, for the marks tell of the last packet alone. -ENOMEM: its packet is lost. */
int delivery_inherit(struct delivery *delivery);
/* Whether the next packet is a predecessor's, which is in no socket's queue. */
bool delivery_has_packet(const struct delivery *delivery);
/* Whether the packet was a predecessor's, who may have carried out a part of it. */
bool delivery_is_again(const struct delivery *delivery);
/* The next answer that a predecessor owed out of turn, which is the caller's from then on; its
 * place is to be deleted when it is sent. False where there is none. */
bool delivery_take_later(struct delivery *delivery, struct inherited_answer **ret);

/* The next packet. Its bytes are valid until delivery_suspend() or delivery_end(), and the receive
 * area must be free: after one of them. Errors are packet_receive_marked()'s. */
int delivery_begin(struct delivery *delivery, struct packet_bytes *ret);
/* The answer comes later: where the turn goes on, its packet leaves the receive area. */
void delivery_suspend(struct delivery *delivery);
/* Sends the packet's answer, or the later one. Errors are packet_send()'s. The fds stay the
 * caller's. */
int delivery_send(struct delivery *delivery, struct later *later, const char *bytes, size_t length,
	const struct fd_list *fds);
/* An answer can't be given: whoever waits for it must not wait for ever, and is not told what isn't
 * so. The connection ends, as soon as it is read or written. */
void delivery_fail(const struct delivery *delivery);
/* The answer is sent, or there is none to send. */
void delivery_end(struct delivery *delivery);

/* Gives the request its number. */
void delivery_number(struct delivery *delivery, struct numbered_request *request);
/* The answer that a predecessor owed to the packet's request of that order, an empty text where it
 * was to have none; NULL where nothing was owed. It stays the delivery's. */
const struct owed_answer *delivery_inherited_answer(
	const struct delivery *delivery, unsigned order);
/* Writes down the answer, NULL for none, which a successor then gives if what the request has
 * changed is committed. */
void delivery_owe(struct delivery *delivery, const struct numbered_request *request,
	struct json_object *answer);
/* Writes down what a successor answers to a request that is answered out of turn. */
void delivery_owe_later(struct delivery *delivery, const struct numbered_request *request,
	struct json_object *answer, struct later *ret);
/* It was not sent, and won't be. */
void delivery_forget_later(struct delivery *delivery, struct later *later);
