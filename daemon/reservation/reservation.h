/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservations: memory that is promised before the VM exists that is to have it.
 *
 * A reservation is made by an operator, and promised its size by the tenant that it is for, or by
 * the host, and by the node where it is of one. It ends once: as the promise of the VM that is
 * opened with it, which has it without a moment in which anybody else could; when it lapses; or
 * when it is cancelled. It has a name, which no other has meanwhile, and an id, which none ever has
 * and nobody can guess.
 *
 * Who may use it: the tenant that it was made for, by its name or id; where it was made for none,
 * whoever knows its id. One that is of a machine is used by a process in that machine's cgroup
 * alone, as the UUID of its VM, which is the reservation's name; see machine_cgroup.h.
 *
 * It outlives gmemd by a ledger of its own (reservation_ledger.h). What is changed is noted at
 * once, and committed at the end of the request, behind the ledger of the VM that it has become a
 * promise of: that one names it, so that where both have it, it is the VM's.
 *
 * Nothing here knows VMs, requests or the event loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/budget/capacity.h"
#include "daemon/tenant/tenant.h"
#include "kernel/base/tree.h"
#include "protocol/methods.h"

struct fdstore;
struct ledger;

/* 128 random bits in hexadecimal. */
#define RESERVATION_ID_SIZE 33

/* As many as there is room for, whatever the limit. */
#define RESERVATIONS_MAX 65535u

struct reservation {
	RB_ENTRY(reservation) by_id, by_name, by_number, by_end;
	uint64_t number; /* those that were made later have larger ones */
	char id[RESERVATION_ID_SIZE];
	char name[NAME_BYTES_MAX + 1];
	struct tenant *tenant; /* who alone may use it, a reference; NULL: nobody in particular */
	char machine[MACHINE_BYTES_MAX + 1]; /* how its name begins; "": of none */
	int node;                            /* or NODE_ANY */
	uint64_t ttl;                        /* milliseconds */
	uint64_t end;                        /* when it lapses: reservations_now() */
	struct budget budget;                /* promised; its limit is the reservation's size */
	struct budget of_node;               /* the same of the node, where it is of one */
	uint32_t record;                     /* in the ledger; 0: none */
};

RB_HEAD(reservation_id_tree, reservation);
RB_HEAD(reservation_name_tree, reservation);
RB_HEAD(reservation_number_tree, reservation);
RB_HEAD(reservation_end_tree, reservation);

struct reservations {
	struct capacity *capacity;
	struct tenants *tenants;
	struct reservation_id_tree by_id;
	struct reservation_name_tree by_name;
	struct reservation_number_tree by_number;
	struct reservation_end_tree by_end;
	uint64_t count, bytes;
	uint64_t last_number;
	/* See reservation_ledger.h. */
	struct fdstore *fdstore;
	struct ledger *ledger; /* NULL: nothing outlives gmemd */
	bool noted;            /* something is, and not committed */
	uint64_t request;      /* number of the last that has changed anything */
};

/* Milliseconds since the host was booted, but for those for which it was suspended. */
uint64_t reservations_now(void);

/* Both must outlive it. */
void reservations_init(
	struct reservations *reservations, struct capacity *capacity, struct tenants *tenants);
/* What outlives gmemd stays. */
void reservations_clear(struct reservations *reservations);

/*
 * As it is told of, by an operator, for that tenant or for NULL. -EEXIST where one has its name,
 * -ENOSPC where *ret_refused can't promise it, -ENOMEM; then nothing has changed.
 */
int reservations_make(struct reservations *reservations,
	const struct reservation_create_parameters *told, struct tenant *tenant,
	struct reservation **ret, const struct budget **ret_refused);
/* It is a predecessor's; what is told of is all of it but its tenant, "" for none, and its budgets.
 * -EBADMSG where there can't be such a one, -ENOMEM. */
int reservations_recover(
	struct reservations *reservations, const struct reservation *told, const char *tenant);
/* It is no more, and is freed. -ENOMEM: it is there still. */
int reservations_end(struct reservations *reservations, struct reservation *reservation);
/* The same, and its promises are the VM's, as budget_hand_over() has it. */
int reservations_use(struct reservations *reservations, struct reservation *reservation,
	struct budget *of_vm, struct budget *of_node);

/* One that has lapsed too, while it is there. NULL: there is none. */
struct reservation *reservations_by_id(struct reservations *reservations, const char *id);
struct reservation *reservations_by_name(struct reservations *reservations, const char *name);
/* By its id, or its name; one that has lapsed is none. NULL: there is none. */
struct reservation *reservations_find(struct reservations *reservations, const char *named);
/* The one of a machine that is called as that UUID, whatever its letters' case. NULL: none is. */
struct reservation *reservations_of_machine(struct reservations *reservations, const char *uuid);
/* By its id, or its name, if it is of no machine and somebody of that tenant may use it. */
struct reservation *reservations_find_for(
	struct reservations *reservations, const char *named, const struct tenant *tenant);
/* The oldest with a number of at least that. */
struct reservation *reservations_from(struct reservations *reservations, uint64_t number);
/* The one that lapses first. NULL: there is none. */
struct reservation *reservations_first_to_end(struct reservations *reservations);
