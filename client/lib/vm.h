/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's VM, and the triggering of calls: what gmemd has written, this process's ioctl
 * carries out.
 */
#pragma once

#include "client/lib/opening.h"
#include "client/lib/trapped.h"
#include "kernel/base/ranges.h"

struct gmem_memory;

struct bound_slot {
	LIST_ENTRY(bound_slot) link;
	struct gmem_slot slot;
};

/* What it has is changed by who has the connection's turn, and told a gmemd that has lost it. */
struct gmem_vm {
	struct gmem *gmem;
	struct opening opening;
	int fd;
	uint64_t minimum;    /* as gmemd was told */
	unsigned n_memories; /* that have not been freed */
	LIST_HEAD(, gmem_memory) memories;
	LIST_HEAD(, bound_slot) slots;
	struct ranges private_ranges;
	struct trapped_list given_up; /* creations that gmemd has not been told the end of */
};

/* A slot's members, as slot.bind has them. */
void slot_describe(struct json_object *object, const struct gmem_slot *slot);
/* Notes what was converted. */
void vm_note_converted(
	struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges, size_t count);
/* How many a call may have. -EINVAL, -E2BIG, and the last error says why. */
int vm_check_range_count(size_t count);
/* Parameters that begin with the VM's id. */
struct json_object *vm_params(const struct gmem_vm *vm);

/*
 * Triggers a call as gmemd has described it, and reports a failure. Returns what the last ioctl
 * did, which is an fd for a creation, or the negative errno of the first that failed. *ret_id is
 * the call's id where it succeeded, for the report.
 */
int vm_trigger(struct gmem_vm *vm, struct json_object *call, uint64_t *ret_id);
/* Tells gmemd of what vm_trigger() has given up and is over: that nothing was made. */
void vm_settle_given_up(struct gmem_vm *vm);
/*
 * Triggers a call that makes no file, NULL where there is nothing to do, and reports what came of
 * it. gmemd reads the report before whatever this process asks next. With discarded, which may be
 * NULL, the answer is waited for and what it says is added there.
 */
int vm_carry_out(struct gmem_vm *vm, struct json_object *call, uint64_t *discarded);
/* The last part of that, of a call that vm_trigger() has succeeded with. */
int vm_report(struct gmem_vm *vm, struct json_object *call, uint64_t *discarded);
/* Reports that a call was not triggered at all. */
void vm_report_untouched(struct gmem_vm *vm, struct json_object *call);
/* Reports a new guest_memfd. The answer is waited for: gmemd says whether it takes it. */
int vm_report_created(struct gmem_vm *vm, uint64_t call, int fd);
