/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memories: the files that hold a VM's guest memory, each charged for its whole size from creation
 * to close.
 *
 * A guest_memfd is pending until the VMM has created it and handed its fd over; then gmemd keeps
 * the fd.
 *
 * What is bound to a NUMA node is charged to that, too. Of a VM with private memory those are the
 * guest_memfds alone: the other half's pages are there in the place of theirs.
 *
 * A memfd of huge pages has all of them reserved from its creation: then the guest always gets one,
 * where else its access would be a SIGBUS that ends the VMM. A page that is given back takes its
 * reservation with it, so the memory is reserved again (daemon/puncher/punch.h); the pages are free
 * then, but nobody else's. That ends with the memory, or where others have its file, with them.
 */
#pragma once

#include "daemon/base/numa_node.h"
#include "daemon/pages/page_file.h"
#include "daemon/vm/registry.h"
#include "daemon/vm/vm_record.h"
#include "kernel/host/memory_file.h"
#include "protocol/methods.h"

struct memory {
	RB_ENTRY(memory) in_vm;
	RB_ENTRY(memory) by_id;
	RB_ENTRY(memory) by_file; /* of a ready one */
	struct vm *vm;
	struct budget *node_budget; /* its node's, of the tenant's; NULL: it is charged to none */
	uint64_t id;
	char *name; /* NULL: none */
	uint64_t size;
	uint64_t page_size;      /* of huge ones; 0: the host's own */
	struct page_file *pages; /* has the fd; NULL while pending */
	uint64_t resident;       /* bytes of pages when they were last counted */
	struct file_identity file;
	union {
		struct model_memory *model; /* with the model */
		struct closed *closed;      /* of a closed one: see closed_memory.h */
	};
	/* Trees: see kernel/base/avl_tree.h. */
	void *slots_by_offset;
	void *halves_by_offset; /* struct shared_half: whose shared half it is */
	void *slots_showing;    /* through the VMM's mapping of it */
	int fd;                 /* -1 while pending */
	unsigned n_slots;       /* that use it */
	uint32_t record;        /* in its VM's ledger; 0: none */
	uint32_t name_records[NAME_RECORDS];
	enum memory_backing backing : 1;
	enum object_state state : 2;
	enum memory_flags flags : 2;
	bool is_charged : 1; /* as one of its VM's owner's */
	int16_t node;        /* that its pages come from, or NODE_ANY */
};

RB_PROTOTYPE(memory_tree, memory, in_vm, )

struct memory_request {
	const char *name; /* NULL: none */
	uint64_t size;
	enum memory_backing backing;
	uint64_t flags;
	int node;           /* or NODE_ANY */
	uint64_t page_size; /* of huge ones; 0: the host's own */
	uint64_t id;        /* 0: the next */
};

/* What is charged for the VM's memories, but for its promise, is the tenant's of their nodes from
 * now on, whatever the limits. To be prepared: -ENOMEM. */
int memories_prepare_move(struct vm *vm, struct tenant *to);
void memories_move(struct vm *vm, struct tenant *to);
/* What they are charged to their nodes for is not charged, or is again. */
void memories_set_aside(struct vm *vm, bool aside);

/*
 * A pending memory of the VM, charged. -E2BIG where the VM has too many, -EDQUOT where its user
 * has; -ENOSPC where a budget refuses, which is then *ret_refused with the bytes asked of it in
 * *ret_bytes; -ENOMEM.
 */
int memory_new(struct vm *vm, const struct memory_request *request, struct memory **ret,
	const struct budget **ret_refused, uint64_t *ret_bytes);
/* One as a predecessor has left it, with an id that no other has, charged, but without its name.
 * fd, which the keeper holds, is consumed on success; -1 while it is pending. memory_adopt()'s
 * errors, memory_new()'s. */
int memory_recover(
	struct vm *vm, const struct memory_request *request, int consume_fd, struct memory **ret);
/* The same of a closed one, which is charged nothing yet, and is the VM's. */
int memory_recover_closed(
	struct vm *vm, const struct memory_request *request, int consume_fd, struct memory **ret);
/* From its VM's memories to its closed ones; its whole charge is given back. */
void memory_to_closed(struct memory *memory);
/* Gives the charge back and closes the file. No slot may use it, and it is not listed as a closed
 * one: see memory_close() and closed_memory_free(). Takes NULL, returns NULL. */
struct memory *memory_free(struct memory *memory);

/*
 * Makes a pending memory ready with its file, which is consumed on success: a guest_memfd that the
 * VMM created, or the memfd that an earlier gmemd made for it. -EINVAL where it is no such file of
 * this size, -EEXIST where gmemd has it already.
 */
int memory_adopt(struct memory *memory, int consume_fd);
/* The same for the model's file and its memory, which are the memory's on success. -ENOMEM. */
int memory_take_model(struct memory *memory, struct model_memory *consume_model, int consume_fd);
/* Makes a pending memfd ready. -ENOMEM also where the host has not so many huge pages. */
int memory_make_memfd(struct memory *memory);
/* What offsets into it and sizes of its parts are multiples of. */
uint64_t memory_page_size(const struct memory *memory);

/* NULL where there is none; the same of closed ones. */
struct memory *registry_memory(struct registry *registry, uint64_t id);
struct memory *registry_closed_memory(struct registry *registry, uint64_t id);
/* Whether an earlier gmemd could have given that id to what this one does not have. */
bool registry_has_had_id(const struct registry *registry, uint64_t id);
/* The VM's memory of that name, or NULL. */
struct memory *vm_memory_by_name(struct vm *vm, const char *name);
/* The VM's first memory with an id of at least that, or NULL; the same of its closed ones. */
struct memory *vm_memory_from(struct vm *vm, uint64_t id);
struct memory *vm_closed_memory_from(struct vm *vm, uint64_t id);
/* Bytes of pages of the VM's memories when they were last counted. */
uint64_t vm_resident(const struct vm *vm);
/* The same without huge pages: nobody else has more memory when those are given back. */
uint64_t vm_resident_ordinary(const struct vm *vm);
