/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd and a gmemd-puncher say to each other: packets of a fixed binary format over a pair of
 * AF_UNIX, SOCK_SEQPACKET sockets, of which the puncher has one end.
 *
 * gmemd asks, one request at a time: ranges of the file that comes with it in SCM_RIGHTS. The
 * puncher gives back the pages there, closes the file, and answers. Byte order is the host's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/puncher/punch.h"

/* The number of its end of the pair. */
#define PUNCHER_SOCKET 3

#define PUNCHER_MAGIC   0x504d4547u /* "GEMP" */
#define PUNCHER_VERSION 2

#define PUNCHER_RANGES_MAX 64

struct puncher_request {
	uint32_t magic;
	uint16_t version;
	uint16_t count; /* of ranges: 1 to PUNCHER_RANGES_MAX. No others are sent */
	uint64_t kind;  /* enum punch_kind */
	struct punch_range ranges[PUNCHER_RANGES_MAX];
};

struct puncher_answer {
	uint32_t magic;
	uint16_t version;
	uint16_t reserved;
	struct punched punched;
};

static inline size_t puncher_request_length(uint16_t count)
{
	return offsetof(struct puncher_request, ranges) + count * sizeof(struct punch_range);
}

_Static_assert(sizeof(struct puncher_request) == 1040, "protocol");
_Static_assert(sizeof(struct puncher_answer) == 32, "protocol");
