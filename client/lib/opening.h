/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a VM with gmemd and putting the gate round this process: what gmem-run does for its VMM,
 * and the library for the process itself.
 */
#pragma once

#include "client/lib/vm_state.h"

/* vm.open, then the gate if options ask for one, then vm.gate. The caller owns what is in *ret:
 * opening_clear(). */
int opening_make(struct gmem *gmem, const struct gmem_vm_options *options, struct opening *ret);
/* What gmem-run has left for this process, from the environment. -ENOENT where that is
 * incomplete. */
int opening_inherit(struct opening *ret);
void opening_clear(struct opening *opening);
