/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grants: which processes, besides a VM's own, may open which of its memories; and holdings: which
 * have done so.
 *
 * A process is known by its identity (kernel/host/process.h), which no other ever has; its pid is
 * for people. A grant ends with its memory. A holding stays for as long as gmemd watches the
 * memory's file, closed or not: a guest_memfd can't be taken back.
 *
 * Nothing here knows VMs: each has its own grants, and notes them in its ledger.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "kernel/host/process.h"

enum grant_kind { GRANT_TO_USER, GRANT_TO_PROCESS, GRANT_HOLDING, GRANT_KINDS };

struct grant {
	TAILQ_ENTRY(grant) link;
	uint64_t id; /* of a holding: of the grant that it came by */
	uint64_t memory;
	enum grant_kind kind;
	bool once;         /* it becomes the holding of who opens the memory first */
	uid_t uid;         /* the user that may, or of who has */
	pid_t pid;         /* 0: it can't be seen */
	uint64_t identity; /* of the process */
	uint32_t record;   /* in the VM's ledger; 0: none */
};

struct grants {
	TAILQ_HEAD(grant_list, grant) all; /* by age */
	unsigned count;
};

void grants_init(struct grants *grants);
/* One more, as it is told. NULL without memory. */
struct grant *grants_add(struct grants *grants, const struct grant *told);
/* One that a predecessor has left, in its place by its id, for records are in whatever order; a
 * holding is as old as its grant then. NULL without memory. */
struct grant *grants_recover(struct grants *grants, const struct grant *told);
void grants_remove(struct grants *grants, struct grant *grant);

/* By which the process may open the memory: one that is for it alone, else one for its user. NULL:
 * by none. */
struct grant *grants_find(
	const struct grants *grants, uint64_t memory, const struct process *process);
/* That the process has opened it. NULL: it has not. */
struct grant *grants_find_holding(const struct grants *grants, uint64_t memory, uint64_t identity);
/* The holding that comes of a process's opening a memory by a grant. */
struct grant grant_holding_of(const struct grant *grant, const struct process *process);
