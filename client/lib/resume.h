/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this process has of its VM, told to a gmemd that may know nothing of it any more.
 */
#pragma once

#include "client/lib/vm_state.h"

/* Tells gmemd what this process has of its VM, by vm.resume; *ret_rebuilt is whether gmemd had lost
 * it. Errors are connection_exchange()'s. */
int resume_tell(struct gmem_vm *vm, bool *ret_rebuilt);
