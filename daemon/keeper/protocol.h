/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd and gmemd-keeper say to each other: packets of a fixed binary format over AF_UNIX,
 * SOCK_SEQPACKET.
 *
 * A request is a header, then count ids. PUT comes with a fd for each id, in their order, in one
 * SCM_RIGHTS; no other request has fds. Each request has one answer, in the order of the requests;
 * any number may be on their way. An answer is the header of its request, with a result (0 or a
 * negative errno) and what the operation gives back. What is no request is answered with an error
 * and the end of the connection. Byte order is the host's: both ends are on it.
 *
 * Why nothing is lost
 *
 * A packet that sendmsg(2) has taken is in the keeper's queue, and its files with it: the keeper
 * carries it out, whatever becomes of its sender. So gmemd does not wait for answers. It sends, in
 * this order:
 *
 *  1. PUT of what a change needs, such as a memory's file. Only then
 *  2. the VM's ledger, which the keeper holds already, is committed, and
 *  3. the peer is answered.
 *  4. DROP of what is no more comes after the ledger's commit that says so; and gmemd closes its
 *     own file after the answer to that, so that the keeper's reference is never the last one to
 *     a file with pages: whoever closes that waits until they are freed.
 *
 *  | what is killed            | what is found                                                 |
 *  | gmemd before 1            | nothing of the change: it has not been                        |
 *  | gmemd between 1 and 2     | a file that no ledger names: it belongs to nothing, is dropped|
 *  | gmemd after 2             | the ledger, and its files                                     |
 *  | gmemd amid 4              | a file that no ledger names any more: the same                |
 *  | the keeper                | gmemd still has all, and puts it to the next one              |
 *  | both                      | nothing; libgmem tells the next gmemd by vm.resume            |
 *  | the connection alone      | all that was sent, for the keeper finishes it; gmemd connects |
 *  |                           | again and puts and drops all that it had, the same way        |
 *
 * Connections are accepted by the keeper (ACCEPT), so that there is no moment at which one is
 * gmemd's alone; the sockets are in the service manager's fd store too (KEEPER_STORE), for the
 * keeper's own restart. A VM whose process ends while no gmemd is there is not kept (KEEPER_LIFE).
 */
#pragma once

#include <stdint.h>

#define KEEPER_SOCKET  "keeper.sock"
#define KEEPER_MAGIC   0x4b4d4547u /* "GEMK" */
#define KEEPER_VERSION 1
#define KEEPER_BATCH   16  /* ids in a packet, at most */
#define KEEPER_MANY    253 /* ids in an answer to KEEPER_TAKE_MANY: SCM_RIGHTS takes no more */

enum keeper_operation {
	/* Answered with a struct keeper_report in the place of ids. */
	KEEPER_HELLO = 1,
	/* Holds all of the fds or none: 1 to KEEPER_BATCH. An id that it holds already is replaced.
	 * -EMFILE where it can't hold as many. */
	KEEPER_PUT,
	/* 1 to KEEPER_BATCH. An id that it doesn't hold is no error. */
	KEEPER_DROP,
	/* Those after the id that is given, or the first ones where none is: answered with up to
	 * KEEPER_BATCH ids and a fd for each. It goes on holding them. */
	KEEPER_TAKE,
	/* Of an answer to no request: the connection is refused. */
	KEEPER_REFUSAL,
	/* Of two ids, the first of a listening socket that it holds: accepts a connection, holds it
	 * as the second, and answers with that and a fd for it. -EAGAIN where none waits, -ENOENT
	 * where it doesn't hold the socket, -EMFILE where it can hold no more. So there is no
	 * moment at which a connection is its asker's alone. One that it holds as the second
	 * already is the answer again: with -ETOOMANYREFS, where too many files are on their way,
	 * it holds one that could not be sent. */
	KEEPER_ACCEPT,
	/* As KEEPER_TAKE, but up to KEEPER_MANY. Of a keeper that says KEEPER_GIVES_MANY. */
	KEEPER_TAKE_MANY,
};

enum keeper_flag {
	KEEPER_STORE = 1, /* of a PUT: into the service manager's fd store, too */
	/* Of a PUT of pidfds, of kinds from KEEPER_OWNED_KINDS on. Where one's process has ended
	 * and nobody has been connected for some seconds, all that is held of the same owner, of
	 * kinds from KEEPER_OWNED_KINDS on, is dropped: guest memory of a VM that is no more must
	 * not stay. */
	KEEPER_LIFE = 4,
	KEEPER_MORE = 2, /* of the answer to a TAKE: there are others after these */
	/* Of the answer to a HELLO: it knows KEEPER_TAKE_MANY. Who knows no such keeper does not
	 * look. */
	KEEPER_GIVES_MANY = 8,
};

#define KEEPER_OWNED_KINDS 16

/* The keeper reads nothing in it but what KEEPER_LIFE needs. It keeps ids in the order of their
 * members. */
struct keeper_id {
	uint64_t kind;
	uint64_t owner;
	uint64_t member;
};

struct keeper_header {
	uint32_t magic;
	uint16_t version;
	uint16_t operation;
	uint32_t flags;
	int32_t result; /* 0 in a request */
	uint32_t count; /* of ids that follow */
	uint32_t reserved;
	uint64_t serial; /* whatever the asker likes */
};

struct keeper_report {
	uint64_t started; /* CLOCK_MONOTONIC, nanoseconds */
	uint64_t held;    /* fds */
	uint64_t limit;   /* fds that it can hold */
	char program_version[16];
};

struct keeper_message {
	struct keeper_header header;
	union {
		struct keeper_id ids[KEEPER_MANY];
		struct keeper_report report;
	};
};

_Static_assert(sizeof(struct keeper_id) == 24, "protocol");
_Static_assert(sizeof(struct keeper_header) == 32, "protocol");
_Static_assert(sizeof(struct keeper_report) == 40, "protocol");
_Static_assert(sizeof(struct keeper_message) == 6104, "protocol");
