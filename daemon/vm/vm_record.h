/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records: a VM and what it has, as they are in its ledger.
 *
 * Members are never moved and never change their meaning; new ones are added at a record's end, and
 * read as zero from an older gmemd's ledger. Who adds one has it written and read by the pair of
 * functions for its kind, which stand side by side below and in vm_record.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/vm/vm_state.h"
#include "kernel/store/ledger.h"
#include "protocol/methods.h"

struct call;
struct conversion_plan;
struct grant;
struct memory;
struct slot;
struct vm;

/* The largest of those below. */
#define RECORD_SIZE 96
/* Of one VM: as many as it can have of all. */
#define RECORDS_MAX (1u << 15)

enum record_kind {
	RECORD_VM = 1, /* at index 0 */
	RECORD_NAME,   /* a part of a VM's or memory's name */
	RECORD_MEMORY,
	RECORD_SLOT,
	RECORD_CALL,
	RECORD_UNIT,    /* a part of the name of the unit that its process was in */
	RECORD_MINIMUM, /* of a VM, where it has told one */
	RECORD_TENANT,  /* a part of its tenant's name, where that is not its user alone */
	RECORD_GRANT = 16,
	RECORD_RESERVED,   /* of a VM that was opened with a reservation */
	RECORD_OPENED,     /* when a VM was */
	RECORD_SLOTS = 24, /* several slots together */
};

/* With RECORD_VM_REMAINS and RECORD_VM_UNFINISHED: where in its life a VM is. */
enum record_vm_state {
	RECORD_VM_OPENING,
	RECORD_VM_RUNNING,
	RECORD_VM_RELEASED,
};

enum record_vm_flags {
	RECORD_VM_INITIALLY_PRIVATE = 1 << 0,
	RECORD_VM_BROKER = 1 << 7, /* what gmemd allocates for it is charged to gmemd */
	RECORD_VM_REBUILT = 1 << 1,
	RECORD_VM_UNFINISHED = 1 << 2, /* the request that makes it is not done */
	RECORD_VM_LISTENER = 1 << 3,   /* it has been handed over */
	RECORD_VM_REMAINS = 1 << 4,    /* it is gone, but for closed memories */
	/* It has a report page of the first layout: see kernel/kvm/report_page.h. */
	RECORD_VM_REPORTS = 1 << 5,
};

struct vm_record {
	uint16_t kind;
	uint8_t state; /* enum record_vm_state */
	uint8_t gate;
	uint32_t flags;
	uint32_t type;
	uint32_t uid;
	int32_t pid;
	uint32_t generation; /* how many gmemds have had it before */
	uint64_t number;
	uint64_t commit_limit;
	uint8_t uuid[16];
	uint64_t trap;      /* the id of the last that was received */
	uint64_t verifying; /* of an older gmemd: whose mailbox is being checked; 0: none */
	uint32_t answer;    /* to the last: enum trap_answer */
	uint32_t settled_done;
	uint64_t settled_call; /* the last that was reported */
	uint64_t request;      /* number of the last that has changed anything of the VM */
};

/* A name of up to 128 bytes is in up to so many parts. Of a VM's, a memory's or a unit's. */
#define NAME_RECORDS 2

struct name_record {
	uint16_t kind;
	uint16_t part;
	uint32_t length;
	uint64_t owner; /* 0: the VM; else a memory's id */
	char bytes[72];
};

struct minimum_record {
	uint16_t kind;
	uint16_t reserved[3];
	uint64_t bytes;
};

struct opened_record {
	uint16_t kind;
	uint16_t reserved[3];
	uint64_t microseconds; /* CLOCK_REALTIME */
};

struct reserved_record {
	uint16_t kind;
	uint16_t reserved;
	int32_t node; /* -1: none */
	uint8_t id[16];
	uint64_t of_node; /* bytes */
};

enum record_grant_flags { RECORD_GRANT_ONCE = 1 << 0 };

struct grant_record {
	uint16_t kind;
	uint8_t grant_kind; /* enum grant_kind */
	uint8_t flags;
	uint32_t uid;
	int32_t pid;
	uint32_t reserved;
	uint64_t id;
	uint64_t memory;
	uint64_t identity;
};

struct memory_record {
	uint16_t kind;
	uint8_t backing;
	uint8_t state;
	int32_t node; /* -1: none */
	uint64_t id;
	uint64_t size;
	uint64_t flags;
	uint64_t resident;  /* of a closed one: bytes of pages that are charged */
	uint64_t page_size; /* of huge ones; 0: the host's own */
};

enum record_slot_how {
	RECORD_SLOT_SHOWING = 1 << 0, /* its memory is mapped, not bound */
	RECORD_SLOT_ASTRAY = 1 << 1,
	RECORD_SLOT_LEAVING = 1 << 2, /* others are in its place */
};

struct slot_record {
	uint16_t kind;
	uint8_t state;
	uint8_t flags;
	uint32_t number;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	uint64_t memory; /* 0: none */
	uint64_t guest_memfd_offset;
	uint64_t shared_memory; /* 0: none */
	uint64_t shared_offset;
	uint32_t how;
	uint32_t reserved;
};

/*
 * Most slots are of whole pages and have no shared half: three of these are in one record, each a
 * number of bytes that tells all that its own would. A gmemd that knows LEDGER_VERSION_FIRST alone
 * would miss them: so they are in ledgers of a later version, which it refuses.
 *
 *   bits of byte 0   0-1 state, 2-3 flags, 4-6 how, 7 that there is one
 *   bytes            4 number, 5 guest_phys_addr, 4 memory_size, 6 userspace_addr, 4 memory,
 *                    5 guest_memfd_offset; the lowest first, addresses and sizes in 4 KiB
 */
#define SLOTS_TOGETHER      3
#define SLOT_TOGETHER_BYTES 29

struct slots_record {
	uint16_t kind;
	uint8_t slots[SLOTS_TOGETHER][SLOT_TOGETHER_BYTES];
};

enum record_call_flags {
	RECORD_CALL_CONTINUED = 1 << 0,
	RECORD_CALL_SETTLING = 1 << 1, /* done ioctls are known to have succeeded */
	RECORD_CALL_PRIVATE = 1 << 2,
	RECORD_CALL_DISCARD = 1 << 3,
};

struct call_record {
	uint16_t kind;
	uint8_t call;
	uint8_t flags;
	uint32_t entry;
	uint32_t count;
	uint32_t done;
	uint32_t guest_memfd;
	uint32_t slot;
	uint64_t id;
	uint64_t memory;
};

_Static_assert(sizeof(struct vm_record) <= RECORD_SIZE, "record");
_Static_assert(sizeof(struct name_record) <= RECORD_SIZE, "record");
_Static_assert(sizeof(struct memory_record) <= RECORD_SIZE, "record");
_Static_assert(sizeof(struct grant_record) <= RECORD_SIZE, "record");
_Static_assert(sizeof(struct slot_record) <= RECORD_SIZE, "record");
_Static_assert(sizeof(struct slots_record) <= RECORD_SIZE, "record");
_Static_assert(sizeof(struct call_record) <= RECORD_SIZE, "record");

union record {
	uint8_t bytes[RECORD_SIZE];
	struct vm_record vm;
	struct name_record name;
	struct minimum_record minimum;
	struct opened_record opened;
	struct reserved_record reserved;
	struct grant_record grant;
	struct memory_record memory;
	struct slot_record slot;
	struct slots_record slots;
	struct call_record call;
};

/* The record of that kind at the index, NULL where there is another or none. It is as long as any:
 * what an older gmemd did not write is zero. */
const void *record_at(
	const struct ledger *ledger, uint32_t index, enum record_kind kind, union record *ret);

#define EACH_RECORD(ledger, index, kind, record)                                                   \
	for (uint32_t index = 0; index < ledger_end(ledger); index++)                              \
		if (record_at(ledger, index, kind, record))

/*
 * Writers, each with its reader. A reader hands on what the record says, as the parameters of the
 * method that would have told it where there is one: whether that can be is for who has read it.
 * Ids of other objects, states, and numbers that a record alone has are read as its members.
 */

/* VM_STATES where no gmemd can have written it. */
enum vm_state record_vm_state(const struct vm_record *record);

void record_write_vm(const struct vm *vm, struct vm_record *ret);
void record_read_vm(const struct vm_record *record, struct vm *ret);

/* A part of a name of that kind. False where the name is not so long. */
bool record_write_name(
	uint16_t kind, uint64_t owner, uint16_t part, const char *name, struct name_record *ret);
/* Whether it can be a part of a name. */
bool record_is_name_part(const struct name_record *record);
/* Puts one that can be where it belongs in the name, which is zero elsewhere. */
void record_read_name_part(const struct name_record *record, char name[static NAME_BYTES_MAX + 1]);
/* The name of a memory, or of the VM for 0; "" where there is none. */
void record_read_name(
	const struct ledger *ledger, uint64_t owner, char ret[static NAME_BYTES_MAX + 1]);
void record_read_tenant(const struct ledger *ledger, char ret[static NAME_BYTES_MAX + 1]);
void record_read_unit(const struct ledger *ledger, char ret[static NAME_BYTES_MAX + 1]);

void record_write_memory(const struct memory *memory, struct memory_record *ret);
void record_read_memory(const struct memory_record *record, struct memory_create_parameters *ret);

void record_write_grant(const struct grant *grant, struct grant_record *ret);
void record_read_grant(const struct grant_record *record, struct grant *ret);

void record_write_slot(const struct slot *slot, struct slot_record *ret);
void record_read_slot(const struct slot_record *record, struct slot_bind_parameters *ret);
/* The same slot, as one of several. False where it is none that can be. */
bool record_pack_slot(const struct slot_record *record, uint8_t ret[static SLOT_TOGETHER_BYTES]);
/* False where there is none. */
bool record_has_slot(const uint8_t bytes[static SLOT_TOGETHER_BYTES]);
bool record_unpack_slot(const uint8_t bytes[static SLOT_TOGETHER_BYTES], struct slot_record *ret);

/* The ranges of a conversion are in the mailbox. */
void record_write_call(const struct call *call, struct call_record *ret);
/* All but what it is about. */
void record_read_call(const struct call_record *record, struct call *ret);
/* Of a conversion, all but its ranges. */
void record_read_conversion(const struct call_record *record, struct conversion_plan *ret);
