/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's VM and what it has: kept here, changed by who has the connection's turn, and told a
 * gmemd that has lost it.
 */
#pragma once

#include "client/lib/conversions.h"
#include "client/lib/transport.h"
#include "client/lib/trapped.h"
#include "kernel/kvm/report_page.h"

struct opening {
	char id[64];
	unsigned type; /* KVM_CREATE_VM's argument */
	int kvm_fd;
	int mailbox_fd;
	uint64_t mailbox_address;
	uint64_t mailbox_length;
	int report_fd; /* of the report page, until it is mapped; -1: none */
	bool gated;
	bool modelled; /* gmemd's back end is the model: there is neither device nor mailbox */
	enum gmem_mappings mappings;
};

struct gmem_memory {
	LIST_ENTRY(gmem_memory) link; /* while it is to be told of */
	bool noted;
	bool closing; /* gmemd was asked for that, and has not answered */
	struct gmem_vm *vm;
	uint64_t id;
	uint64_t size;
	int fd;
	char *name; /* NULL: none */
	uint64_t flags;
};

/* Of its memories, which the caller may have freed since. 0: none. */
struct slot_memories {
	uint64_t memory, shared_memory;
};

struct bound_slot {
	LIST_ENTRY(bound_slot) link;
	struct gmem_slot slot;
	struct slot_memories memories;
};

struct gmem_vm {
	struct gmem *gmem;
	struct opening opening;
	struct report_page *report_page; /* by vm_report_page() */
	int fd;
	uint64_t minimum; /* as gmemd was told */
	/* For gmemd, to be told with what is reported next; 0: nothing. */
	_Atomic uint64_t waited_ms;
	unsigned n_memories; /* that have not been freed */
	LIST_HEAD(, gmem_memory) memories;
	LIST_HEAD(, bound_slot) slots;
	struct conversions conversions;
	struct trapped_list given_up; /* creations that gmemd has not been told the end of */
};

/* Parameters that begin with the VM's id. */
struct json_object *vm_params(const struct gmem_vm *vm);

/* Reports go into that page from now on; fd may be -1, for none, and stays the caller's. Where it
 * can't be mapped, or is none, all is reported by call.done. */
void vm_map_report_page(struct gmem_vm *vm, int fd);
/* NULL: none. */
struct report_page *vm_report_page(const struct gmem_vm *vm);

/* The one of that id that is neither freed nor closed; NULL: none. */
const struct gmem_memory *vm_memory(const struct gmem_vm *vm, uint64_t id);

/* While the caller has them. */
struct slot_memories slot_memories(const struct gmem_slot *slot);
/* A slot's members, as slot.bind has them. */
void slot_describe(struct json_object *object, const struct gmem_slot *slot,
	const struct slot_memories *memories);
/* How many a call may have. -EINVAL, -E2BIG, and the last error says why. */
int vm_check_range_count(size_t count);
