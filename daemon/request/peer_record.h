/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of peers: what of their connections outlives gmemd, as it is in the ledger of peers.
 *
 * Members are never moved and never change their meaning; new ones are added at a record's end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/owner/owner.h"

#define PEER_RECORD_SIZE 256

enum peer_record_kind {
	RECORD_PEERS = 1, /* at index 0, so that no other record is there */
	RECORD_PEER,
	RECORD_OWED, /* a part of an answer */
};

/* Files that go with an answer. */
enum owed_files {
	OWED_NO_FILE,
	OWED_VM_FILES,    /* the device and a VM's mailbox */
	OWED_MEMORY_FILE, /* a memory's */
};

enum owed_when {
	OWED_IN_TURN,
	OWED_LATER_PENDING, /* out of turn, of a packet that may wait still */
	OWED_LATER,
	OWED_DONE,   /* in turn, and what it tells is known to be committed */
	OWED_PACKET, /* all answers to it: the text is the packet itself, the object its fault */
};

struct peer_record {
	uint16_t kind;
	uint8_t access; /* enum method_access */
	uint8_t subscribed;
	uint32_t reserved;
	uint64_t number;
	uint64_t sequence; /* of the last event */
	/* What older ones lack. */
	uint8_t owned; /* its owner is known */
	char unit[OWNER_UNIT_BYTES_MAX + 1];
};

struct owed_record {
	uint16_t kind;
	uint8_t when;  /* enum owed_when */
	uint8_t files; /* enum owed_files: that go with it */
	uint16_t order;
	uint16_t part;
	uint32_t length; /* of this part */
	uint32_t reserved;
	uint64_t peer;
	uint64_t turn;
	uint64_t request;
	uint64_t object; /* whose files */
	char bytes[208];
};

_Static_assert(sizeof(struct peer_record) <= PEER_RECORD_SIZE, "record");
_Static_assert(sizeof(struct owed_record) == PEER_RECORD_SIZE, "record");

/* Whether a gmemd can have written it: of one that has not, nothing is believed. */
bool peer_record_fits(const struct peer_record *record);
bool owed_record_fits(const struct owed_record *record);
