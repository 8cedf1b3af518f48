/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of the fd store. See fdstore_table.h.
 */
#include "daemon/fdstore/fdstore_table.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/keeper/packet.h"

static struct keeper_id id_of(const struct fdstore_entry *entry)
{
	return (struct keeper_id){entry->kind, entry->owner, entry->member};
}

static int fdstore_entry_compare(struct fdstore_entry *a, struct fdstore_entry *b)
{
	const struct keeper_id id = id_of(a), other = id_of(b);

	return keeper_id_compare(&id, &other);
}

RB_GENERATE_LOCAL(fdstore_tree, fdstore_entry, by_id, fdstore_entry_compare)

void fdstore_table_init(struct fdstore_table *table)
{
	*table = (struct fdstore_table){.n_held = 0};
	RB_INIT(&table->entries);
	for (enum fdstore_order order = 0; order < FDSTORE_ORDERS; order++)
		TAILQ_INIT(&table->queues[order]);
	TAILQ_INIT(&table->posted);
}

/* Stages */

static bool is_held(const struct fdstore_entry *entry)
{
	return entry->stage == FDSTORE_AT_REST && entry->there;
}

static void leave_stage(struct fdstore_table *table, struct fdstore_entry *entry)
{
	table->n_held -= is_held(entry);
	if (entry->stage == FDSTORE_POSTED) {
		TAILQ_REMOVE(&table->posted, entry, link);
		table->n_posted_files -= !entry->dropped;
	} else if (entry->stage == FDSTORE_QUEUED) {
		TAILQ_REMOVE(&table->queues[entry->order], entry, link);
	}
	entry->stage = FDSTORE_AT_REST;
}

/*
 * Should this gmemd end amid it, nobody is to be told that something is not there which is only not
 * there yet. So a VM's ledger comes when all else of the VM is there, and connections come after
 * all VMs and what operators have made: whose connection ends resumes its VM.
 */
static enum fdstore_order order_of(const struct fdstore_entry *entry)
{
	if (entry->dropped)
		return FDSTORE_DROPS;
	switch (entry->kind) {
	case FDSTORE_VM_LEDGER:
	case FDSTORE_RESERVATIONS:
	case FDSTORE_TENANTS:
		return FDSTORE_LEDGERS;
	default:
		return entry->kind < KEEPER_OWNED_KINDS ? FDSTORE_CONNECTIONS : FDSTORE_CONTENT;
	}
}

static void queue(struct fdstore_table *table, struct fdstore_entry *entry, bool urgent)
{
	entry->stage = FDSTORE_QUEUED;
	entry->order = urgent ? FDSTORE_URGENT : order_of(entry);
	TAILQ_INSERT_TAIL(&table->queues[entry->order], entry, link);
}

static void post(struct fdstore_table *table, struct fdstore_entry *entry, uint64_t serial)
{
	leave_stage(table, entry);
	entry->stage = FDSTORE_POSTED;
	entry->serial = (uint32_t)serial;
	entry->there = !entry->dropped;
	TAILQ_INSERT_TAIL(&table->posted, entry, link);
	table->n_posted_files += !entry->dropped;
}

/* The entry has no stage any more. */
static void come_to_rest(struct fdstore_table *table, struct fdstore_entry *entry)
{
	entry->stage = FDSTORE_AT_REST;
	table->n_held += is_held(entry);
}

/* Entries */

static struct fdstore_entry entry_of(const struct keeper_id *id)
{
	return (struct fdstore_entry){
		.kind = (uint32_t)id->kind, .owner = id->owner, .member = id->member};
}

static struct fdstore_entry *find(const struct fdstore_table *table, const struct keeper_id *id)
{
	struct fdstore_entry key = entry_of(id);

	return RB_FIND(fdstore_tree, (struct fdstore_tree *)&table->entries, &key);
}

/* What was to be closed once it is dropped is so now. */
static void close_file(struct fdstore_entry *entry)
{
	struct fdstore_closer *closer = entry->closer;

	entry->closer = NULL;
	if (entry->dropped && closer)
		closer->close(closer, entry->fd);
	entry->fd = -1;
}

static void remove_entry(struct fdstore_table *table, struct fdstore_entry *entry)
{
	leave_stage(table, entry);
	RB_REMOVE(fdstore_tree, &table->entries, entry);
	close_file(entry);
	free(entry);
}

/* The one of the id, which has no stage, or a new one. NULL without memory. */
static struct fdstore_entry *take_entry(struct fdstore_table *table, const struct keeper_id *id)
{
	struct fdstore_entry *entry = find(table, id);

	if (entry) {
		leave_stage(table, entry);
		close_file(entry);
	} else {
		entry = malloc(sizeof *entry);
		if (!entry)
			return NULL;
		*entry = entry_of(id);
		RB_INSERT(fdstore_tree, &table->entries, entry);
	}
	entry->dropped = false;
	return entry;
}

/* The same where there is none, mostly: thousands come one after the other. */
static struct fdstore_entry *add_entry(struct fdstore_table *table, const struct keeper_id *id)
{
	struct fdstore_entry *entry = malloc(sizeof *entry);

	if (!entry)
		return NULL;
	*entry = entry_of(id);
	if (!RB_INSERT(fdstore_tree, &table->entries, entry))
		return entry;
	free(entry);
	return take_entry(table, id);
}

void fdstore_table_clear(struct fdstore_table *table)
{
	while (!RB_EMPTY(&table->entries))
		remove_entry(table, RB_ROOT(&table->entries));
}

int fdstore_table_put(struct fdstore_table *table, const struct keeper_id *id, int fd, bool urgent)
{
	struct fdstore_entry *entry = take_entry(table, id);

	if (!entry)
		return -ENOMEM;
	entry->fd = fd;
	queue(table, entry, urgent);
	return 0;
}

int fdstore_table_adopt(struct fdstore_table *table, const struct keeper_id *id, int fd)
{
	struct fdstore_entry *entry = add_entry(table, id);

	if (!entry)
		return -ENOMEM;
	entry->fd = fd;
	entry->there = true;
	come_to_rest(table, entry);
	return 0;
}

void fdstore_table_drop(struct fdstore_table *table, const struct keeper_id *id, int take_fd,
	struct fdstore_closer *closer)
{
	struct fdstore_entry *entry = find(table, id);

	if (!entry || entry->dropped || !entry->there) {
		if (entry && !entry->dropped)
			remove_entry(table, entry);
		if (closer)
			closer->close(closer, take_fd);
		return;
	}
	leave_stage(table, entry);
	close_file(entry);
	entry->dropped = true;
	entry->fd = take_fd;
	entry->closer = closer;
	queue(table, entry, /* urgent= */ false);
}

/* Requests */

static enum keeper_operation operation_of(const struct fdstore_entry *entry)
{
	return entry->dropped ? KEEPER_DROP : KEEPER_PUT;
}

/* A restart of the keeper itself, under a service manager, must find the listeners that it has not
 * passed itself. */
static unsigned flags_of(const struct fdstore_entry *entry)
{
	if (entry->dropped)
		return 0;
	if (entry->kind == FDSTORE_VM_PROCESS)
		return KEEPER_LIFE;
	return entry->kind == FDSTORE_LISTENER && entry->member > 0 ? KEEPER_STORE : 0;
}

bool fdstore_table_has_sent_vms(const struct fdstore_table *table)
{
	return TAILQ_EMPTY(&table->queues[FDSTORE_CONTENT]) &&
	       TAILQ_EMPTY(&table->queues[FDSTORE_LEDGERS]);
}

struct fdstore_queue *fdstore_table_queue_from(
	struct fdstore_table *table, enum fdstore_order order)
{
	for (; order < FDSTORE_ORDERS; order++) {
		if (!TAILQ_EMPTY(&table->queues[order]))
			return &table->queues[order];
	}
	return NULL;
}

void fdstore_table_next(const struct fdstore_queue *queue, struct fdstore_batch *ret)
{
	const struct fdstore_entry *entry = TAILQ_FIRST(queue);

	ret->operation = operation_of(entry);
	ret->flags = flags_of(entry);
	for (ret->count = 0; entry && ret->count < KEEPER_BATCH; ret->count++) {
		if (operation_of(entry) != ret->operation || flags_of(entry) != ret->flags)
			return;
		ret->ids[ret->count] = id_of(entry);
		ret->fds[ret->count] = entry->fd;
		entry = TAILQ_NEXT(entry, link);
	}
}

void fdstore_table_posted(
	struct fdstore_table *table, struct fdstore_queue *queue, uint32_t count, uint64_t serial)
{
	for (uint32_t i = 0; i < count; i++)
		post(table, TAILQ_FIRST(queue), serial);
}

static void take_answer_of(struct fdstore_table *table, struct fdstore_entry *entry, int result)
{
	leave_stage(table, entry);
	if (entry->dropped) {
		remove_entry(table, entry);
		return;
	}
	entry->there = result == 0;
	come_to_rest(table, entry);
}

void fdstore_table_skip(struct fdstore_table *table, struct fdstore_queue *queue, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		take_answer_of(table, TAILQ_FIRST(queue), -EBADF);
}

void fdstore_table_answered(struct fdstore_table *table, uint64_t serial, int result)
{
	struct fdstore_entry *entry;

	while ((entry = TAILQ_FIRST(&table->posted)) && entry->serial == (uint32_t)serial)
		take_answer_of(table, entry, result);
}

/* The next keeper may be the same, whose connection has ended: what was to be dropped is so again,
 * and what it may have is still to be dropped. By their kinds, a VM's ledger comes first then. */
void fdstore_table_lost(struct fdstore_table *table)
{
	struct fdstore_entry *entry;

	RB_FOREACH (entry, fdstore_tree, &table->entries) {
		leave_stage(table, entry);
		if (entry->dropped)
			close_file(entry);
		queue(table, entry, /* urgent= */ false);
	}
}
