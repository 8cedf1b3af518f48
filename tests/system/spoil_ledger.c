/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spoil_ledger: changes what ledgers that a keeper holds say, with checksums that are right. For
 * tests, while no gmemd runs.
 *
 *   spoil_ledger DIR OWNER KIND[.N] MEMBER VALUE   in the ledger of the VM of that number, 0: of
 * peers: the Nth record of its kind, from 0 spoil_ledger DIR OWNER KIND[.N] double         has that
 * record twice spoil_ledger DIR OWNER KIND[.N] gone           deletes it spoil_ledger DIR any
 * random SEED COUNT         so many changes, at random places
 *
 * Prints what it has changed, a line each. Exits 1 where it has found nothing to change.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fdstore/fdstore.h"
#include "daemon/fdstore/keeper_client.h"
#include "daemon/request/peer_record.h"
#include "daemon/vm/vm_record.h"
#include "kernel/base/cleanup.h"
#include "kernel/store/ledger.h"
#include "tests/lib/slots_alone.h"

struct member {
	const char *kind;
	unsigned number; /* of the kind, in its ledger */
	bool of_peers;
	const char *name;
	size_t offset, size;
};

#define MEMBER(text, kind_number, peers, type, member)                                             \
	{                                                                                          \
		text, kind_number, peers, #member, offsetof(struct type, member),                  \
			sizeof(((struct type *)0)->member)                                         \
	}
#define VM(member)     MEMBER("vm", RECORD_VM, false, vm_record, member)
#define NAME(member)   MEMBER("name", RECORD_NAME, false, name_record, member)
#define MEMORY(member) MEMBER("memory", RECORD_MEMORY, false, memory_record, member)
#define SLOT(member)   MEMBER("slot", RECORD_SLOT, false, slot_record, member)
#define CALL(member)   MEMBER("call", RECORD_CALL, false, call_record, member)
#define PEER(member)   MEMBER("peer", RECORD_PEER, true, peer_record, member)
#define OWED(member)   MEMBER("owed", RECORD_OWED, true, owed_record, member)

static const struct member members[] = {VM(state), VM(gate), VM(flags), VM(type), VM(uid), VM(pid),
	VM(generation), VM(number), VM(commit_limit), VM(trap), VM(verifying), VM(answer),
	VM(settled_done), VM(settled_call), VM(request), NAME(part), NAME(length), NAME(owner),
	NAME(bytes), MEMORY(backing), MEMORY(state), MEMORY(node), MEMORY(id), MEMORY(size),
	MEMORY(flags), MEMORY(resident), SLOT(state), SLOT(flags), SLOT(number),
	SLOT(guest_phys_addr), SLOT(memory_size), SLOT(userspace_addr), SLOT(memory),
	SLOT(guest_memfd_offset), SLOT(shared_memory), SLOT(shared_offset), SLOT(how), CALL(call),
	CALL(flags), CALL(entry), CALL(count), CALL(done), CALL(guest_memfd), CALL(slot), CALL(id),
	CALL(memory), PEER(access), PEER(subscribed), PEER(number), PEER(sequence), OWED(when),
	OWED(files), OWED(order), OWED(part), OWED(length), OWED(peer), OWED(turn), OWED(request),
	OWED(object), OWED(bytes)};
#define MEMBERS (sizeof members / sizeof *members)

struct held {
	uint64_t owner; /* 0: of peers */
	struct ledger *ledger;
};

static struct held all[64];
static size_t n_all;
static bool changed;

static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "spoil_ledger: %s: %s\n", what, strerror(-r));
	exit(2);
}

static int open_one(const struct keeper_id *id, int fd, void *context)
{
	bool of_vm = id->kind == FDSTORE_VM_LEDGER;
	bool of_peers = id->kind == FDSTORE_PEERS && id->member == 0;

	(void)context;
	if ((!of_vm && !of_peers) || n_all == sizeof all / sizeof *all) {
		fd_close(fd);
		return 0;
	}
	all[n_all].owner = of_vm ? id->owner : 0;
	need(ledger_open(fd, &all[n_all].ledger), "opening");
	if (of_vm)
		need(slots_alone(all[n_all].ledger), "slots one by one");
	n_all++;
	return 0;
}

/* A record with room for any. */
struct copy {
	uint32_t index;
	size_t length;
	unsigned char bytes[LEDGER_RECORD_SIZE_MAX];
};

static bool read_record(
	const struct ledger *ledger, uint32_t index, unsigned kind, struct copy *ret)
{
	const void *bytes;
	uint16_t found;

	if (ledger_get(ledger, index, &bytes, &ret->length) < 0)
		return false;
	memcpy(&found, bytes, sizeof found);
	memcpy(ret->bytes, bytes, ret->length);
	ret->index = index;
	return found == kind;
}

static bool nth_record(const struct ledger *ledger, unsigned kind, unsigned n, struct copy *ret)
{
	for (uint32_t index = 0; index < ledger_end(ledger); index++) {
		if (read_record(ledger, index, kind, ret) && n-- == 0)
			return true;
	}
	return false;
}

static void put(struct ledger *ledger, const struct copy *record)
{
	need(ledger_put(ledger, record->index, record->bytes, record->length), "writing");
	ledger_commit(ledger);
	changed = true;
}

static void set(
	const struct held *held, struct copy *record, const struct member *member, uint64_t value)
{
	size_t size = member->size < sizeof value ? member->size : sizeof value;

	memcpy(record->bytes + member->offset, &value, size);
	put(held->ledger, record);
	printf("%" PRIu64 ": %s at %u: %s = %" PRIu64 "\n", held->owner, member->kind,
		record->index, member->name, value);
}

static void double_record(const struct held *held, struct copy *record)
{
	need(ledger_free_index(held->ledger, &record->index), "room");
	put(held->ledger, record);
	printf("%" PRIu64 ": doubled to %u\n", held->owner, record->index);
}

static void delete_record(const struct held *held, const struct copy *record)
{
	ledger_delete(held->ledger, record->index);
	ledger_commit(held->ledger);
	changed = true;
	printf("%" PRIu64 ": deleted %u\n", held->owner, record->index);
}

/* Directed */

static const struct member *member_by_name(const char *kind, const char *name)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		if (strcmp(members[i].kind, kind) == 0 &&
			(!name || strcmp(members[i].name, name) == 0))
			return &members[i];
	}
	fprintf(stderr, "spoil_ledger: no member %s of %s\n", name, kind);
	exit(2);
}

static void spoil(uint64_t owner, char *kind, const char *what, const char *value)
{
	char *dot = strchr(kind, '.');
	unsigned n = dot ? (unsigned)strtoul(dot + 1, NULL, 10) : 0;
	const struct member *member;
	struct copy record;

	if (dot)
		*dot = '\0';
	member = member_by_name(kind, value ? what : NULL);
	for (size_t i = 0; i < n_all; i++) {
		if (all[i].owner != owner || member->of_peers != (owner == 0) ||
			!nth_record(all[i].ledger, member->number, n, &record))
			continue;
		if (value)
			set(&all[i], &record, member, strtoull(value, NULL, 0));
		else if (strcmp(what, "double") == 0)
			double_record(&all[i], &record);
		else
			delete_record(&all[i], &record);
	}
}

/* Random */

static uint64_t random_value(uint64_t old)
{
	static const uint64_t special[] = {0, 1, 2, 3, 4, 7, 127, 255, 4095, 4096, 65535, 1u << 20,
		INT32_MAX, UINT32_MAX, 1ull << 40, 1ull << 52, INT64_MAX, UINT64_MAX};

	switch (random() % 4) {
	case 0:
		return old + 1;
	case 1:
		return old ^ 1ull << random() % 64;
	case 2:
		return (uint64_t)random() << 33 ^ (uint64_t)random();
	default:
		return special[(size_t)random() % (sizeof special / sizeof *special)];
	}
}

static void spoil_member(const struct held *held, struct copy *record, unsigned kind)
{
	const struct member *member;
	uint64_t old = 0;

	do
		member = &members[(size_t)random() % MEMBERS];
	while (member->number != kind || member->of_peers != (held->owner == 0));
	memcpy(&old, record->bytes + member->offset, member->size < 8 ? member->size : 8);
	set(held, record, member, random_value(old));
}

static void spoil_randomly(void)
{
	const struct held *held = &all[(size_t)random() % n_all];
	unsigned kind =
		(unsigned)(held->owner ? RECORD_VM + random() % (RECORD_CALL - RECORD_VM + 1)
				       : RECORD_PEER + random() % 2);
	struct copy record;

	if (!nth_record(held->ledger, kind, (unsigned)random() % 4, &record))
		return;
	if (random() % 10 == 0)
		double_record(held, &record);
	else if (random() % 10 == 0)
		delete_record(held, &record);
	else
		spoil_member(held, &record, kind);
}

static void spoil_at_random(const char *seed, const char *count)
{
	srandom((unsigned)strtoul(seed, NULL, 10));
	for (unsigned long i = strtoul(count, NULL, 10); i > 0 && n_all > 0; i--)
		spoil_randomly();
}

int main(int argc, char **argv)
{
	struct keeper_client *keeper;

	if (argc < 5 || argc > 6)
		return 2;
	need(keeper_connect(argv[1], &keeper), "connecting");
	need(keeper_take(keeper, open_one, NULL), "taking");
	if (strcmp(argv[3], "random") == 0)
		spoil_at_random(argv[4], argc > 5 ? argv[5] : "1");
	else
		spoil(strtoull(argv[2], NULL, 10), argv[3], argv[4], argc > 5 ? argv[5] : NULL);
	for (size_t i = 0; i < n_all; i++)
		ledger_free(all[i].ledger);
	keeper_free(keeper);
	return changed ? EXIT_SUCCESS : EXIT_FAILURE;
}
