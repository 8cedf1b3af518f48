/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMs: what gmemd holds for each, and the set of all.
 *
 * A VM belongs to the process that opened it. It is opening until the gate lets it be made (or,
 * without a gate, until its first call is reported), then running; released when it is closed or
 * its process has ended, whichever is first: see vm_state.h. A released VM holds no memory, slot,
 * call or charge; it stays listed while its process lives, so that its gate goes on refusing.
 *
 * Ownership: registry → VMs → memories, slots, calls. Nothing here knows the event loop, peers or
 * JSON.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/budget/budget.h"
#include "daemon/owner/owner.h"
#include "daemon/vm/recount_policy.h"
#include "daemon/vm/vm_state.h"
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
struct slot;
struct vm_record;
struct watch;

/* Bytes, as commitment.h counts them. */
struct commitment {
	uint64_t backed_by[2]; /* by enum memory_backing */
	uint64_t in_both;      /* of guest frames that are in both halves */
};

/* Of closed memories: see closed_memory.h. */
struct closed_counts {
	uint64_t all, filled; /* those that have pages */
};

TAILQ_HEAD(closed_list, memory);
RB_HEAD(closed_user_tree, closed_of_user);
RB_HEAD(memory_tree, memory);
RB_HEAD(slot_tree, slot);
RB_HEAD(slot_address_tree, slot);
RB_HEAD(slot_offset_tree, slot);
RB_HEAD(slot_shared_tree, slot);
TAILQ_HEAD(call_list, call);
TAILQ_HEAD(noted_list, vm);

struct vm {
	RB_ENTRY(vm) by_id;
	RB_ENTRY(vm) by_process;
	struct registry *registry;
	uint64_t number; /* its id is "vm-NUMBER" */
	char id[32];
	char *name;
	char uuid[37];
	unsigned type;          /* as of KVM_CREATE_VM */
	bool initially_private; /* what is newly bound is converted */
	enum vm_charge charge;  /* whose memory cgroup what gmemd allocates for it is charged to */
	struct process process;
	struct owner *owner; /* its process; what is charged to it, charges it */
	enum vm_state state;
	enum vm_gate_state gate;

	struct ledger *ledger; /* NULL: nothing of it outlives gmemd */
	TAILQ_ENTRY(vm) noted_link;
	bool noted;              /* there, and not committed */
	uint32_t generation;     /* how many gmemds have had it before */
	uint64_t request;        /* number of the last that has changed anything of it */
	struct mailbox *mailbox; /* with KVM */
	struct model_vm *model;  /* with the model */
	int listener;            /* -1: none yet */
	struct {
		uint64_t id; /* the last that was received */
		enum trap_answer answer;
		uint64_t verifying; /* KVM_CREATE_VM's, that an older gmemd was amid; 0: none */
		struct inquiry *inquiry; /* what is being found out about it; NULL: nothing */
	} trap;
	/* Its KVM_CREATE_VM that was let through last; see daemon/gate/vm_creations.h. */
	struct {
		pid_t thread;     /* 0: none by this gmemd */
		bool made;        /* KVM has told of it */
		uint64_t hearing; /* what was heard then; 0: nothing */
	} creation;
	unsigned refusals; /* of trapped calls, for the log */
	struct budget budget;
	struct commitment commitment;
	uint64_t own_memory; /* bytes of slots on the VMM's own memory */
	uint64_t minimum;    /* bytes of pages that it can't do without, as it has told */
	uint32_t minimum_record;

	struct memory_tree memories;
	unsigned n_memories;
	struct memory_tree closed;
	struct closed_counts closed_counts;
	struct closed_list closed_empty; /* the one that has been so for longest is the first */
	uint64_t closed_size, closed_resident; /* bytes, in all; of pages, which are charged */
	/* Of a remaining one: when its process was found to have ended; 0: it was not. */
	uint64_t remains_since;
	bool said_filled, said_let_go; /* in the log */
	struct slot_tree slots;
	struct slot_address_tree slots_by_address;
	unsigned n_slots;
	struct call_list calls;
	uint64_t last_call;
	/* The last that was reported, and as what: to this gmemd, and to one before it. */
	struct {
		uint64_t call;
		unsigned done;
	} settled, inherited;

	/* Guest addresses */
	struct ranges private_ranges;
	struct ranges converting; /* by calls that are not done with */
	struct ranges discarding; /* the page worker gives their stale half back */
	struct ranges in_both;    /* not discarded from the half that went stale */
	int frames; /* the first and the last of them in a file; -1: nothing of it outlives gmemd */

	bool rebuilt; /* from what its process has told, who may tell the rest later */

	/* What the event loop keeps for it; NULL: it isn't watched. */
	struct watch *watch;           /* see daemon/release/vm_watch.h */
	struct gate_watch *gate_watch; /* see daemon/gate/gate_watch.h */
};

RB_HEAD(vm_tree, vm);
RB_HEAD(vm_process_tree, vm);
RB_HEAD(memory_id_tree, memory);
RB_HEAD(memory_file_tree, memory);

struct registry {
	const struct backend *backend;
	const struct config *config;
	const struct host_offer *host;
	struct owners *owners;
	struct page_worker *pages; /* NULL: files are closed as they are */
	struct fdstore *fdstore;   /* NULL: nothing outlives gmemd */
	struct noted_list noted;   /* VMs whose ledgers are to be committed */
	bool forgetting;           /* its VMs, which go on running on what they have */
	struct capacity *capacity; /* the host's */
	uint64_t last_id;          /* of VMs and memories */
	uint64_t first_id;         /* up to here they were an earlier gmemd's */
	struct vm_tree vms;
	uint64_t n_made; /* that were ever there */
	struct vm_process_tree vms_by_process;
	struct memory_id_tree memories, closed_memories;
	struct memory_file_tree memory_files; /* of both */
	struct closed_user_tree closed_users;
	struct closed_list closed_changed; /* that are to be told of */
	struct recounts recounts;
};

RB_PROTOTYPE(vm_tree, vm, by_id, )
RB_PROTOTYPE(vm_process_tree, vm, by_process, )

/* All must outlive it. */
void registry_init(struct registry *registry, const struct backend *backend,
	const struct config *config, const struct host_offer *host, struct owners *owners,
	struct capacity *capacity);
/* Forgets all VMs: those that run go on running, on the memory that they have. */
void registry_clear(struct registry *registry);
/* An id that no VM or memory had since the host booted. */
uint64_t registry_next_id(struct registry *registry);

/* Whether an earlier gmemd could have given that id to what this one does not have. */
bool registry_has_had_id(const struct registry *registry, uint64_t id);

/* NULL where there is none. */
struct vm *registry_vm_by_id(struct registry *registry, const char *id);
struct vm *registry_vm_by_number(struct registry *registry, uint64_t number);
/* The first with a number of at least that. */
struct vm *registry_vm_from(struct registry *registry, uint64_t number);
struct vm *registry_vm_of_process(struct registry *registry, const struct process *process);

struct vm_request {
	const char *name;
	const char *uuid; /* NULL: one is made */
	unsigned type;
	uint64_t commit_limit; /* promised to it; BUDGET_UNLIMITED: it has what the host has */
	bool initially_private;
	enum vm_charge charge;
	bool gate;
	struct owner *opener; /* whose connection asks for it */
};

/* Who can't promise a VM so much, NULL where it can be promised. */
const struct budget *registry_refuses(struct registry *registry, uint64_t commit_limit);

/*
 * A new VM of a process. The process's pidfd is duplicated. -EEXIST where one of the same pid has a
 * VM, -EDQUOT where its user has too many, -ENOSPC where registry_refuses(), -ENOMEM, or why the
 * back end can't have it.
 */
int vm_new(struct registry *registry, const struct process *process,
	const struct vm_request *request, struct vm **ret);
/* What a predecessor has left of a VM. All is the VM's where it succeeds, but the record and the
 * name. */
struct vm_recovery {
	const struct vm_record *record;
	const char *name;
	const char *unit; /* of its owner */
	int pidfd;
	int listener; /* -1: none */
	int frames;   /* -1: none */
	struct mailbox *mailbox;
};

/* A VM as it was, with nothing of what it has yet. -ENOMEM, -EMFILE. */
int vm_recover(struct registry *registry, const struct vm_recovery *recovery, struct vm **ret);

/*
 * A VM that gmemd has lost, as its mailbox's label describes it, with nothing of what it has yet.
 * The mailbox is the VM's where it succeeds. What it was promised is promised again where nobody
 * else has it. Errors are vm_new()'s, but for -ENOSPC.
 */
int vm_resume(struct registry *registry, const struct process *process, struct owner *opener,
	const struct label *label, struct mailbox *mailbox, struct vm **ret);

/* Has nobody open its mailbox for writing any more, where gmemd may see to that. */
void vm_fix_mailbox(const struct vm *vm);
/* Puts what is held for it, but for its memories, to the keeper. */
void vm_put(struct vm *vm);
/* Has the keeper drop what it holds for the VM of that number, but for its memories. */
void vm_drop_held(struct fdstore *fdstore, uint64_t number);
/*
 * Forgets it and closes what is held for it. Memory that was not released stays as it is for as
 * long as somebody else holds it. Takes NULL, returns NULL.
 */
struct vm *vm_free(struct vm *vm);

/* It is released from now on: its slots, calls and private ranges are gone. Its memories are still
 * charged. */
void vm_stop(struct vm *vm);
/* Closes the memories of one that was stopped, and ends its charge and what it was promised. Their
 * pages should be gone; memory->resident says what is left of them. */
void vm_drop(struct vm *vm);
/* In the place of vm_free() once its process has ended, or has made room for another VM: it remains
 * for as long as files of closed memories are kept. */
void vm_end(struct vm *vm);
/* Whether it is over: what the VM has had is gone, or is going. */
bool vm_is_released(const struct vm *vm);
/* Whether it is to be seen: it is there, or pages of its closed memories are. */
bool vm_is_seen(const struct vm *vm);

/* What a VM of its type offers. */
const struct vm_type_offer *vm_offer(const struct vm *vm);
/* Whether its guest frames can be private. */
bool vm_has_private_memory(const struct vm *vm);

/* Bytes of pages of its memories when they were last counted. */
uint64_t vm_resident(const struct vm *vm);
