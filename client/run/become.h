/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Becoming the VMM.
 */
#pragma once

#include <stdbool.h>

#include "client/gmem.h"

/* Returns where it can't be executed alone, with the status to exit with. */
int become_vmm(char **command);

/* One that knows nothing of gmemd, with the library preloaded that opens its VM, of the default
 * type, when it opens /dev/kvm. Asks first whether there is a gmemd. Returns as become_vmm(). */
int become_shimmed_vmm(char **command, const char *socket, const struct gmem_vm_options *vm,
	unsigned timeout /* seconds; 0: none */, bool notify /* as ready.h does */);
/* The same for what makes a VM without memory alone, to learn what KVM offers. */
int become_probe(char **command, const char *socket, unsigned timeout);
