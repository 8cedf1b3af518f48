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
 */
#pragma once

#include <stdint.h>

#define KEEPER_SOCKET  "keeper.sock"
#define KEEPER_MAGIC   0x4b4d4547u /* "GEMK" */
#define KEEPER_VERSION 1
#define KEEPER_BATCH   16 /* ids in a packet, at most */

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
	/* Answers what came before it could be a request: a connection that is refused. */
	KEEPER_REFUSAL,
	/* Of two ids, the first of a listening socket that it holds: accepts a connection, holds it
	 * as the second, and answers with that and a fd for it. -EAGAIN where none waits, -ENOENT
	 * where it doesn't hold the socket, -EMFILE where it can hold no more. So there is no
	 * moment at which a connection is its asker's alone. One that it holds as the second
	 * already is the answer again: with -ETOOMANYREFS, where too many files are on their way,
	 * it holds one that could not be sent. */
	KEEPER_ACCEPT,
};

enum keeper_flag {
	KEEPER_STORE = 1, /* of a PUT: into the service manager's fd store, too */
	/* Of a PUT of pidfds, of kinds from KEEPER_OWNED_KINDS on. Where one's process has ended
	 * and nobody has been connected for some seconds, all that is held of the same owner, of
	 * kinds from KEEPER_OWNED_KINDS on, is dropped: guest memory of a VM that is no more must
	 * not stay. */
	KEEPER_LIFE = 4,
	KEEPER_MORE = 2, /* of the answer to a TAKE: there are others after these */
};

#define KEEPER_OWNED_KINDS 16

/* Opaque to the keeper but for that, which has them in the order of their members. */
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
		struct keeper_id ids[KEEPER_BATCH];
		struct keeper_report report;
	};
};

_Static_assert(sizeof(struct keeper_id) == 24, "protocol");
_Static_assert(sizeof(struct keeper_header) == 32, "protocol");
_Static_assert(sizeof(struct keeper_report) == 40, "protocol");
_Static_assert(sizeof(struct keeper_message) == 416, "protocol");
