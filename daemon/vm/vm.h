/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMs: what gmemd holds for each.
 *
 * A VM belongs to the process that opened it. It is opening until the gate lets it be made (or,
 * without a gate, until its first call is reported), then running; released when it is closed or
 * its process has ended, whichever is first: see vm_state.h. A released VM holds no memory, slot,
 * call or charge; it stays listed while its process lives, so that its gate goes on refusing.
 *
 * Ownership: registry → VMs → memories, slots, calls. Nothing in this wing knows the event loop,
 * peers or JSON. A VM is made by vm_new.h, ended by vm_end.h, and found by registry.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/numa_node.h"
#include "daemon/budget/budget.h"
#include "daemon/grant/grant.h"
#include "daemon/owner/owner.h"
#include "daemon/reservation/reservation.h"
#include "daemon/vm/recount_policy.h"
#include "daemon/vm/vm_state.h"
#include "kernel/base/pool.h"
#include "kernel/base/ranges.h"
#include "kernel/base/tree.h"
#include "kernel/host/process.h"
#include "kernel/kvm/mailbox.h"
#include "kernel/kvm/probe.h"
#include "protocol/methods.h"

/* What was decided about a trapped call, before it is answered. */
enum trap_answer { TRAP_UNDECIDED, TRAP_CONTINUE, TRAP_REFUSE };

/* Of a memory or slot. */
enum object_state {
	OBJECT_PENDING, /* its call is not reported yet */
	OBJECT_READY,   /* a slot: bound */
	/* a slot whose end is not reported yet, a memory whose pages are not gone */
	OBJECT_CLOSING,
	/* a memory that is one no more, and whose file is kept */
	OBJECT_CLOSED,
};

struct backend;
struct page_worker;
struct call;
struct capacity;
struct fdstore;
struct gate_watch;
struct inquiry;
struct label;
struct ledger;
struct memory;
struct model_vm;
struct report_page;
struct slot;
struct tenant;
struct views_look;
struct vm_record;
struct watch;

/* Bytes, as commitment.h counts them. */
struct commitment {
	uint64_t backed_by[2]; /* by enum memory_backing */
	uint64_t in_both;      /* of guest frames that are in both halves */
};

/* What a VM's promise was before it was opened. */
struct vm_reserved {
	char id[RESERVATION_ID_SIZE];
	int node;              /* or NODE_ANY */
	struct budget of_node; /* what it is promised there */
	uint32_t record;
};

/* Of closed memories: see closed_memory.h. */
struct closed_counts {
	uint64_t all, filled; /* those that have pages */
};

TAILQ_HEAD(closed_list, closed);
RB_HEAD(closed_user_tree, closed_of_user);
RB_HEAD(memory_tree, memory);
TAILQ_HEAD(call_list, call);
TAILQ_HEAD(noted_list, vm);
TAILQ_HEAD(awaiting_list, vm);

struct vm {
	RB_ENTRY(vm) by_id;
	RB_ENTRY(vm) by_process;
	RB_ENTRY(vm) by_name;
	RB_ENTRY(vm) by_uuid;
	struct registry *registry;
	uint64_t number;     /* its id is "vm-NUMBER" */
	uint64_t request;    /* number of the last that has changed anything of it */
	uint64_t resumption; /* of all, its last; 0: there was none */
	char *name;
	char id[24];
	char uuid[37];
	bool initially_private; /* what is newly bound is converted */
	bool rebuilt;           /* from what its process has told, who may tell the rest later */
	bool said_filled, said_let_go, said_astray; /* in the log */
	unsigned type;                              /* as of KVM_CREATE_VM */
	enum vm_charge charge; /* whose memory cgroup what gmemd allocates for it is charged to */
	enum vm_gate_state gate;
	enum vm_state state;
	struct process process;
	struct owner *owner; /* its process; what is charged to it, charges it */
	struct tenant *tenant;
	LIST_ENTRY(vm) of_tenant; /* while it is in the registry */
	/* Milliseconds, CLOCK_MONOTONIC; 0: it doesn't linger. See daemon/release/vm_watch.h. */
	uint64_t lingers_until;
	LIST_ENTRY(vm) lingering; /* of the registry's, while it does */

	struct ledger *ledger; /* NULL: nothing of it outlives gmemd */
	TAILQ_ENTRY(vm) noted_link;
	bool noted;              /* there, and not committed */
	bool succession_unnoted; /* this generation is to be, with what is noted next */
	bool awaits_reports;     /* it is among those that are awaiting */
	uint32_t generation;     /* how many gmemds have had it before */
	struct mailbox *mailbox; /* with KVM */
	/* Beside it; NULL: a gmemd has opened it that knew of none. */
	struct report_page *report_page;
	TAILQ_ENTRY(vm) awaiting; /* of the registry's, while awaits_reports */
	struct model_vm *model;   /* with the model */
	int listener;             /* -1: none yet */
	int frames; /* all but what is under way, in a file; -1: nothing outlives gmemd */
	struct {
		uint64_t id;        /* the last that was received */
		uint64_t verifying; /* KVM_CREATE_VM's, that an older gmemd was amid; 0: none */
		struct inquiry *inquiry; /* what is being found out about it; NULL: nothing */
		enum trap_answer answer;
	} trap;
	/* Its KVM_CREATE_VM that was let through last; see daemon/gate/vm_creations.h. */
	struct {
		pid_t thread; /* 0: none by this gmemd */
		bool made;    /* KVM has told of it */
		bool listed;  /* KVM may tell of it */
		LIST_ENTRY(vm) link;
		uint64_t hearing; /* what was heard then; 0: nothing */
	} creation;
	struct budget budget;
	struct vm_reserved *reserved; /* NULL: nothing was */
	struct commitment commitment;
	uint64_t own_memory; /* bytes of slots on the VMM's own memory */
	uint64_t opened;     /* CLOCK_REALTIME, microseconds; 0: by a gmemd that didn't keep it */
	uint64_t minimum;    /* bytes of pages that it can't do without, as it has told */
	uint32_t minimum_record;
	uint32_t tenant_records[2];

	unsigned n_memories;
	struct memory_tree memories;
	struct grants grants; /* of these, and of closed ones */
	struct memory_tree closed;
	struct closed_counts closed_counts;
	struct closed_list closed_empty; /* the one that has been so for longest is the first */
	uint64_t closed_size, closed_resident; /* bytes, in all; of pages, which are charged */
	/* Of a remaining one: when its process was found to have ended; 0: it was not. */
	uint64_t remains_since;
	struct pool slot_pool, half_pool;
	void *slots_by_number, *slots_by_address; /* see kernel/base/avl_tree.h */
	unsigned n_slots;
	unsigned n_showing;                   /* slots through a mapping, leaving or not */
	uint32_t first_leaving, last_leaving; /* in none of these trees; 0: there is none */
	uint32_t slots_with_room; /* a record of several slots that may have room; 0: none */
	struct views_look *look;  /* at what slots show; NULL: none is under way */
	uint64_t looked;          /* when the last began; 0: there was none */
	struct call_list calls;
	uint64_t last_call;
	/* The call that was reported last, and how many of its ioctls had succeeded: to this gmemd,
	 * and to the one before it. */
	struct {
		uint64_t call;
		unsigned done;
	} settled, inherited;

	/* Guest addresses */
	struct ranges private_ranges;
	struct ranges converting; /* by calls that are not done with */
	struct ranges discarding; /* the page worker gives their stale half back */
	struct ranges in_both;    /* not discarded from the half that went stale */
	struct ranges uncertain;  /* may be private or not: see conversion.h */
	/* The page that somebody holds, for which the last conversion was not done; by the back
	 * end. */
	struct {
		uint64_t memory, offset;
	} pinned;

	/* What the event loop keeps for it; NULL: it isn't watched. */
	struct watch *watch;           /* see daemon/release/vm_watch.h */
	struct gate_watch *gate_watch; /* see daemon/gate/gate_watch.h */
};

/* Where it was reserved, or NODE_ANY. */
static inline int vm_reserved_node(const struct vm *vm)
{
	return vm->reserved ? vm->reserved->node : NODE_ANY;
}

/* Whether it is over: what the VM has had is gone, or is going. */
static inline bool vm_is_released(const struct vm *vm)
{
	return vm->state >= VM_RELEASED;
}

/* Whether it is to be seen: it is there, or pages of its closed memories are. */
static inline bool vm_is_seen(const struct vm *vm)
{
	return vm->state != VM_REMAINING || vm->closed_resident > 0;
}
