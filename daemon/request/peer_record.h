/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of peers: what of their connections outlives gmemd, as it is in the ledger of peers.
 *
 * Members are never moved and never change their meaning; new ones are added at a record's end, and
 * read as zero from an older gmemd's ledger. Each kind's writer and reader stand side by side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
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
	char tenant[TENANT_NAME_SIZE];
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

/* What there is of a peer. */
struct peer_entry {
	uint64_t number;
	uint8_t access;
	bool subscribed;
	uint64_t sequence;
	uint32_t record; /* 0: not noted yet */
	bool owned;      /* it is of this unit and this tenant: see owner_name */
	char unit[OWNER_UNIT_BYTES_MAX + 1];
	char tenant[TENANT_NAME_SIZE];
};

void peer_record_write(const struct peer_entry *entry, struct peer_record *ret);
/* Of a record of any gmemd's, which may be shorter. False where none can have written it: then
 * nothing of it is believed. entry->record is for who knows it. */
bool peer_record_read(const void *bytes, size_t length, struct peer_entry *ret);

struct owed_answer {
	uint64_t peer;
	uint64_t turn;    /* the packet's */
	uint64_t request; /* its own number */
	unsigned order;   /* in the packet */
	enum owed_when when;
	enum owed_files files;
	uint64_t object; /* the VM's number, the memory's id */
	const char *text;
	size_t length;
};

/* The part of the answer's text with that number, with all that is not its text. */
void owed_record_write(const struct owed_answer *owed, uint16_t part, struct owed_record *ret);
/* The answer, without its text. */
void owed_record_read(const struct owed_record *record, struct owed_answer *ret);
/* In how many parts an answer of that length is; where a part's text begins in it. */
size_t owed_record_parts(size_t length);
size_t owed_record_start(const struct owed_record *record);
/* Whether a gmemd can have written it. */
bool owed_record_fits(const struct owed_record *record);
