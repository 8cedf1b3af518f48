/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a peer is, as far as tenants' rules ask: taken once, when it has connected.
 *
 * What can't be had (the kernel has no such thing, or doesn't show it) is told from what is gone
 * with its process.
 */
#pragma once

#include <sys/types.h>

#include "kernel/host/process.h"

#define IDENTITY_LABEL_MAX  511
#define IDENTITY_CGROUP_MAX 1023

enum identity_state {
	IDENTITY_NOT_TAKEN,
	IDENTITY_KNOWN,
	IDENTITY_UNAVAILABLE,
	IDENTITY_GONE,
};

/* Which parts. The user is always known. */
enum identity_part {
	IDENTITY_GROUPS,
	IDENTITY_UNIT,
	IDENTITY_CGROUP,
	IDENTITY_LABEL,
	IDENTITY_PARTS
};

struct identity {
	int socket;
	const struct process *process;
	const char *told_unit; /* as unit_of_process() has found it */
	enum identity_state states[IDENTITY_PARTS];
	gid_t *groups; /* without the process's first; owned */
	size_t n_groups;
	char cgroup[IDENTITY_CGROUP_MAX + 1];
	char label[IDENTITY_LABEL_MAX + 1];
};

/* Of the process that has connected the socket. All must outlive it. Nothing is taken yet. */
void identity_begin(
	int socket, const struct process *process, const char *unit, struct identity *ret);
/* Takes the part, unless that was done. */
enum identity_state identity_take(struct identity *identity, enum identity_part part);
void identity_clear(struct identity *identity);
