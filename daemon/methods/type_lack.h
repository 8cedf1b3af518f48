/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What VMs of one type lack and VMs of another may have: said as that, and not of the host.
 */
#pragma once

#include <stddef.h>

#include "daemon/request/request.h"

/*
 * capability: "KVM_CAP_VM_TYPES" where the host has no VMs of that type at all. flags: of
 * guest_memfd, that a type must have to be named; else 0. Fills in the error, and returns its code.
 */
int request_type_lacks(
	struct request *request, unsigned type, const char *capability, uint64_t flags);
/* Of a name that is no type's. */
int request_no_type(struct request *request);
