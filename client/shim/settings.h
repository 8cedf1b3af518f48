/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmem-run --shim has left in the environment for the VM that the VMM is going to make, or
 * gmem-run-qemu for a VM that gets no memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/gmem.h"

struct settings {
	const char *socket;
	struct gmem_vm_options vm;
	unsigned timeout_ms; /* of opening the VM; 0: none */
	bool probe;          /* no VM is to be opened: kvm_fd is for who learns what KVM offers */
	int kvm_fd;
};

/* Whether there are any: else this is no VMM of gmem-run's. */
bool settings_exist(void);
/* Read once; and gone from the environment then, as is this library from LD_PRELOAD, so that no
 * child of the VMM's has them. */
const struct settings *settings_take(void);
