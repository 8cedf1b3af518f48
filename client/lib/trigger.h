/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Triggering calls: what gmemd has written, this process's ioctl carries out, and what came of it
 * is reported.
 */
#pragma once

#include "client/lib/vm_state.h"

/*
 * Triggers a call as gmemd has described it, and reports a failure. Returns what the last ioctl
 * did, which is an fd for a creation, or the negative errno of the first that failed. *ret_id is
 * the call's id where it succeeded, for the report.
 */
int vm_trigger(struct gmem_vm *vm, struct json_object *call, uint64_t *ret_id);
/* The same, and in *ret_done how many of its ioctls have succeeded, also on failure. */
int vm_trigger_each(
	struct gmem_vm *vm, struct json_object *call, uint64_t *ret_id, uint64_t *ret_done);
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
