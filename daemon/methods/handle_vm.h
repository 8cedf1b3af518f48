/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What vm.open and vm.resume share.
 */
#pragma once

#include "daemon/request/request.h"

/* Whether the host, the policy and the owner's tenant allow a VM as it is told of. */
int request_may_offer_vm(struct request *request, const struct owner *owner,
	const struct vm_open_parameters *told, unsigned type);
/* Whether the caller's process may have one more VM, of that user, name and UUID, which may be
 * NULL. */
int request_may_have_vm(struct request *request, uid_t uid, const char *name, const char *uuid);
/* Fills in why vm_new() or vm_resume() made none of the opener's. */
int request_vm_error(struct request *request, const struct owner *opener, int r);
