/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A registry of VMs for tests of what gmemd holds, with small limits and this process's VMs.
 */
#pragma once

#include "daemon/budget/capacity.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/call.h"

#define HELD_PAGE           4096ull
#define HELD_HOST           (1000 * HELD_PAGE)
#define HELD_VMS            2  /* of a user */
#define HELD_MEMORIES       5  /* of a VM */
#define HELD_SLOTS          8  /* of a VM */
#define HELD_PRIVATE_RANGES 16 /* of a VM */
#define HELD_USER_UID       1000

struct held {
	struct config config;
	struct host_offer host;
	struct owners *owners;
	struct capacity capacity;
	struct registry registry;
	size_t fds; /* that were open before */
};

/* The limits above. */
extern const struct config held_config;

void held_init(struct held *held);
/* With other limits, which hold from the beginning. */
void held_init_with(struct held *held, const struct config *config);
/* All must have been given back: charges, users, fds. */
void held_end(struct held *held);

/* A VM of a process that is still there, whose pid the caller chooses. */
struct vm *held_vm(struct held *held, pid_t pid, uint64_t commit_limit);
int held_vm_new(struct held *held, pid_t pid, uint64_t commit_limit, struct vm **ret);

/* Pending, and in the test's hands; NULL where it was refused, as a failure. */
struct memory *held_memory(struct vm *vm, uint64_t size, const char *name);
/* Without looking for conflicts. */
struct slot *held_slot(struct vm *vm, uint32_t number, uint64_t address, uint64_t size,
	struct memory *memory, uint64_t offset);
