/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of reservations, as they are in their ledger.
 *
 * Members are never moved and never change their meaning; new ones are added at a record's end, and
 * read as zero from an older gmemd's ledger. The writer and the reader stand side by side.
 */
#pragma once

#include "daemon/reservation/reservation.h"

#define RESERVATION_RECORD_SIZE 384

enum reservation_record_kind {
	RECORD_RESERVATIONS = 1, /* at index 0, so that no other record is there */
	RECORD_RESERVATION,
};

struct reservations_record {
	uint16_t kind;
	uint16_t reserved[3];
	uint64_t request; /* number of the last that has changed anything */
};

struct reservation_record {
	uint16_t kind;
	uint16_t reserved;
	int32_t node; /* -1: none */
	uint8_t id[16];
	uint64_t number;
	uint64_t size;
	uint64_t ttl;
	uint64_t end; /* CLOCK_MONOTONIC, milliseconds */
	char name[NAME_BYTES_MAX];
	char tenant[NAME_BYTES_MAX];         /* zero: nobody in particular */
	char machine[MACHINE_BYTES_MAX + 1]; /* zero: of none */
};

_Static_assert(sizeof(struct reservation_record) <= RESERVATION_RECORD_SIZE, "record");

void reservation_record_write(
	const struct reservation *reservation, struct reservation_record *ret);
/* Of a record of any gmemd's, which may be shorter. Whether it can be is for who has read it. False
 * where it is another. */
bool reservation_record_read(const void *bytes, size_t length, struct reservation *ret,
	char ret_tenant[static NAME_BYTES_MAX + 1]);
