/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Triggering calls: what gmemd has written, this process's ioctl carries out, and what came of it
 * is reported.
 */
#pragma once

#include "client/lib/exchange.h"
#include "client/lib/vm_state.h"

/* connection_request() for a call. Where that has taken long, for gmemd was away, the next report
 * tells gmemd so. */
int vm_request_call(struct gmem_vm *vm, const char *method, struct json_object *take_params,
	struct exchange *exchange, struct json_object **ret_result);
/*
 * Triggers a call as gmemd has described it, and reports a failure. Returns what the last ioctl
 * did, which is an fd for a creation, or the negative errno of the first that failed. *ret_id is
 * the call's id where it succeeded, for the report.
 */
int vm_trigger(struct gmem_vm *vm, struct json_object *call, uint64_t *ret_id);
/* Called after each of a call's ioctls that has succeeded, before anything is reported. */
struct trigger_notes {
	void (*done)(void *context);
	void *context;
};
/* The same, with notes, which may be NULL. */
int vm_trigger_each(struct gmem_vm *vm, struct json_object *call, const struct trigger_notes *notes,
	uint64_t *ret_id);
/* A conversion, of which a call is a part. */
struct conversion_order {
	uint64_t told;       /* how often the gmemd that has made the call was told of the VM */
	bool discard;        /* the half that goes stale */
	uint64_t *discarded; /* bytes of pages that went are added there; NULL: nobody asks */
};
/* The same of such a call, and reports it. -ESTALE where gmemd has lost the VM since, and nothing
 * more of it is triggered, or knows nothing of the call: it is to be asked anew. */
int vm_carry_out_conversion(
	struct gmem_vm *vm, struct json_object *call, const struct conversion_order *order);
/* Tells gmemd of what vm_trigger() has given up and is over: that nothing was made. */
void vm_settle_given_up(struct gmem_vm *vm);
/*
 * Reports a call that makes no file, and that vm_trigger() has succeeded with: in the report page,
 * where it can be. gmemd reads the report before whatever this process asks next.
 */
int vm_report(struct gmem_vm *vm, struct json_object *call);
/* Reports that a call was not triggered at all. */
void vm_report_untouched(struct gmem_vm *vm, struct json_object *call);
/* Reports a new guest_memfd. The answer is waited for: gmemd says whether it takes it. */
int vm_report_created(struct gmem_vm *vm, uint64_t call, int fd);
