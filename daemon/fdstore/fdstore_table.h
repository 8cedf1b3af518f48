/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of the fd store: what a keeper is to hold, what of it one holds, and what is to be said
 * to it for that.
 *
 * An entry is to be put or to be dropped. It is queued until that is sent, then posted until it is
 * answered; an entry that is changed meanwhile is queued again, and only the answer to what was
 * sent last counts. The file of an entry is its putter's, who drops the entry before it closes it.
 * So all can be put again, to another keeper, from here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keeper/protocol.h"
#include "kernel/base/tree.h"

/* What an id is of: its kind. */
enum fdstore_kind {
	FDSTORE_LISTENER = 1, /* owner: which; member: the inode of its path, 0: passed */
	FDSTORE_PEER,         /* owner: the peer's number */
	FDSTORE_PEERS,        /* what there is of all of them */
	FDSTORE_RESERVATIONS, /* their ledger */
	FDSTORE_TENANTS,      /* what operators have set of them */
	FDSTORE_PRESSURE, /* owner: a pressure file's inode, 0: the host's; member: a threshold */
	/* owner of this and those below: the VM's number, whose process's life they share */
	FDSTORE_VM_LEDGER = KEEPER_OWNED_KINDS,
	FDSTORE_VM_FRAMES,
	FDSTORE_VM_MAILBOX,
	FDSTORE_VM_GATE,
	FDSTORE_VM_PROCESS,
	FDSTORE_MEMORY, /* member: its id */
	FDSTORE_VM_REPORTS,
};

/* Closes files that the keeper doesn't hold any more. */
struct fdstore_closer {
	void (*close)(struct fdstore_closer *closer, int take_fd);
};

enum fdstore_stage {
	FDSTORE_AT_REST, /* the keeper has it, or can't hold it */
	FDSTORE_QUEUED,
	FDSTORE_POSTED,
};

/* In which order what is queued is sent. */
enum fdstore_order {
	FDSTORE_URGENT, /* what a request depends on */
	FDSTORE_DROPS,
	FDSTORE_CONTENT, /* VMs', but for their ledgers */
	FDSTORE_LEDGERS,
	FDSTORE_CONNECTIONS,
	FDSTORE_ORDERS
};

struct fdstore_entry {
	RB_ENTRY(fdstore_entry) by_id;
	TAILQ_ENTRY(fdstore_entry) link; /* of its stage's queue */
	uint64_t owner, member;          /* of its id */
	struct fdstore_closer *closer;   /* of one to be dropped; NULL: it has no file */
	uint32_t serial;                 /* of the request that has posted it: its lower half */
	int fd;        /* to be put: its putter's; to be dropped: to be closed then */
	uint32_t kind; /* of its id: all are small numbers */
	bool dropped;  /* it is to be */
	bool there;    /* the keeper has it, or will when it has done what was sent */
	uint8_t stage; /* of enum fdstore_stage */
	uint8_t order; /* of enum fdstore_order: whose queue it is in */
};

RB_HEAD(fdstore_tree, fdstore_entry);
TAILQ_HEAD(fdstore_queue, fdstore_entry);

struct fdstore_table {
	struct fdstore_tree entries;
	struct fdstore_queue queues[FDSTORE_ORDERS];
	struct fdstore_queue posted;
	size_t n_posted_files; /* to be put */
	size_t n_held;
};

/* A request. */
struct fdstore_batch {
	enum keeper_operation operation;
	unsigned flags;
	uint32_t count;
	struct keeper_id ids[KEEPER_BATCH];
	int fds[KEEPER_BATCH];
};

void fdstore_table_init(struct fdstore_table *table);
/* Closes what was to be closed once it is dropped. */
void fdstore_table_clear(struct fdstore_table *table);

/* urgent: before all that waits. -ENOMEM: then it won't be held. */
int fdstore_table_put(struct fdstore_table *table, const struct keeper_id *id, int fd, bool urgent);
/* The keeper holds it. -ENOMEM. */
int fdstore_table_adopt(struct fdstore_table *table, const struct keeper_id *id, int fd);
/* closer may be NULL; then there is no file. It is called once the keeper doesn't hold it. */
void fdstore_table_drop(struct fdstore_table *table, const struct keeper_id *id, int take_fd,
	struct fdstore_closer *closer);

/* Whether what there is of each VM has been sent, or is before all else. */
bool fdstore_table_has_sent_vms(const struct fdstore_table *table);
/* The first queue that has something, from that on; NULL: none has. */
struct fdstore_queue *fdstore_table_queue_from(
	struct fdstore_table *table, enum fdstore_order order);
/* The next request of a queue, which is not empty. */
void fdstore_table_next(const struct fdstore_queue *queue, struct fdstore_batch *ret);
/* It was sent. */
void fdstore_table_posted(
	struct fdstore_table *table, struct fdstore_queue *queue, uint32_t count, uint64_t serial);
/* It can't be. */
void fdstore_table_skip(struct fdstore_table *table, struct fdstore_queue *queue, uint32_t count);
/* The answer to a request. */
void fdstore_table_answered(struct fdstore_table *table, uint64_t serial, int result);
/* The keeper is gone: all is to be put to another, nothing of it urgent. */
void fdstore_table_lost(struct fdstore_table *table);
