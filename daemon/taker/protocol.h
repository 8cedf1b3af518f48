/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd and a gmemd-taker say to each other: packets of a fixed binary format over a pair of
 * AF_UNIX, SOCK_SEQPACKET sockets, of which the taker has one end.
 *
 * gmemd asks, one request at a time, and the taker answers each once, but for a CLOSE that is
 * quiet. A TAKE and a LOOK come with the pidfd of the process that they are about in SCM_RIGHTS; an
 * answer to a TAKE with the files that are handed over. Byte order is the host's.
 *
 * A file of a peer's may make whoever looks at it or closes it wait for ever. So none comes to
 * gmemd that isn't known to be harmless; what is refused, the taker has closed before it answers.
 * Of what it hands over it keeps its own duplicates until gmemd says CLOSE, which gmemd does when
 * it has kept or closed its own: so no close of gmemd's is the last. Where gmemd has taken all of
 * them, it keeps them but for rare refusals, and the taker's closes take no time: that CLOSE is
 * quiet, and a request may follow it.
 */
#pragma once

#include <stdint.h>

/* The number of its end of the pair. */
#define TAKER_SOCKET 3

#define TAKER_MAGIC   0x544d4547u /* "GEMT" */
#define TAKER_VERSION 2

/* In a request: a VM's mailbox, and as many memories as a request can name. */
#define TAKER_FILES_MAX 17
/* Of a LOOK. */
#define TAKER_VIEWS_MAX 64

#define TAKER_REASON_SIZE 96

enum taker_operation {
	/* Takes files of the process and finds out what they are; with TAKER_MAPPING, looks at how
	 * it has mapped one as well. */
	TAKER_TAKE = 1,
	/* Closes the duplicates of what was handed over last. */
	TAKER_CLOSE,
	/* Looks which views of files the process has (kernel/host/file_view.h). Takes none. */
	TAKER_LOOK,
};

/* What a file must be. */
enum taker_kind {
	TAKER_GUEST_MEMFD = 1, /* expected: its size; 0: any */
	TAKER_LISTENER,        /* of a seccomp filter */
	TAKER_MEMORY,          /* a guest_memfd, or a memfd that gmemd has made for memory */
	TAKER_MAILBOX,         /* one that gmemd has made */
	/* Looked at, and not handed over. expected: the device's number, a dev_t. */
	TAKER_KVM,
	TAKER_PIDFD, /* of any process */
};

struct taker_file {
	int32_t number; /* in the process */
	uint32_t kind;
	uint64_t expected;
};

enum taker_flag {
	TAKER_MAPPING = 1,         /* of a TAKE: the mapping is to be verified, too */
	TAKER_MAPPING_OF_FILE = 2, /* and is of the first file, whose identity is not given */
	TAKER_QUIET = 4,           /* of a CLOSE: it is not answered */
};

struct taker_header {
	uint32_t magic;
	uint16_t version;
	uint16_t operation;
	uint32_t flags;
	/*
	 * Of an answer: 0, or why not all files are as they must be: -EBADF where a number isn't
	 * open, -EINVAL where a file isn't what it must be, -EPERM where ptrace(2) of the process
	 * is not allowed, -ESRCH where the process has ended, or another errno.
	 */
	int32_t result;
	uint32_t count; /* of a TAKE, of the files that it names; of a LOOK, of its views; else 0 */
	uint32_t reserved;
	uint64_t serial; /* of the request, and of its answer */
};

struct taker_request {
	int32_t process; /* its pid, where it has one in gmemd's namespace */
	int32_t thread;  /* whose address space has the mapping; 0: any thread's of the process */
	uint64_t address, length, device, inode; /* as mapping_verify() has them */
	struct taker_file files[TAKER_FILES_MAX];
};

struct taker_answer {
	uint32_t failed;                /* which file the result is about */
	int32_t mapping;                /* mapping_verify()'s result */
	char reason[TAKER_REASON_SIZE]; /* of that, NUL-terminated */
};

struct taker_view {
	uint64_t address, length, offset, device, inode;
};

struct taker_look {
	int32_t process; /* its pid, where it has one in gmemd's namespace */
	int32_t reserved;
	struct taker_view views[TAKER_VIEWS_MAX];
};

struct taker_look_answer {
	uint64_t shown; /* bit N: the process has the Nth view */
};

struct taker_message {
	struct taker_header header;
	union {
		struct taker_request request;         /* of a TAKE, as far as its files go */
		struct taker_answer answer;           /* to a TAKE */
		struct taker_look look;               /* of a LOOK, as far as its views go */
		struct taker_look_answer look_answer; /* to a LOOK */
	};
};

_Static_assert(sizeof(struct taker_file) == 16, "protocol");
_Static_assert(sizeof(struct taker_header) == 32, "protocol");
_Static_assert(sizeof(struct taker_request) == 312, "protocol");
_Static_assert(sizeof(struct taker_answer) == 104, "protocol");
_Static_assert(sizeof(struct taker_view) == 40, "protocol");
_Static_assert(sizeof(struct taker_look) == 2568, "protocol");
_Static_assert(sizeof(struct taker_look_answer) == 8, "protocol");
_Static_assert(sizeof(struct taker_message) == 2600, "protocol");
