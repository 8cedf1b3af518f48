/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What slot.bind, slot.unbind and slot.change share: why there can be no such slot, in the words of
 * whoever has asked for it.
 */
#pragma once

#include "daemon/request/request.h"
#include "daemon/vm/slot_check.h"

/* Where a slot is told of: by slot.bind itself, or by which of slot.change's changes. */
#define SLOT_TOLD_ALONE (-1)

/* Each fills the error in and returns its code. */
int request_slot_fault(struct request *request, const struct vm *vm,
	const struct slot_bind_parameters *told, const struct slot_fault *fault, int change);
int request_slot_param(
	struct request *request, int change, const char *param, const char *expected);
/* That the caller has not mapped what it tells of. */
int request_slot_not_shown(struct request *request, int change);

/* Whether a new slot has the fd that it needs. 0, or the error's code. */
int request_slot_has_file(struct request *request, const struct slot_bind_parameters *told,
	const struct slot_request *wanted, int change);
/* Whether a slot can be deleted now. 0, or the error's code. */
int request_may_unbind(struct request *request, const struct slot *slot);
