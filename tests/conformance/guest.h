/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A real guest that reads or writes one byte at a guest address.
 *
 * One vCPU in real mode with 4 GiB segments ("unreal" mode). Its code has a page and a slot of its
 * own, shared and of anonymous memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct guest;

/* Makes the vCPU and the code's slot. A negative errno where that can't be had. */
int guest_new(int kvm_fd, int vm_fd, struct guest **ret);
/* Takes NULL, returns NULL. Before the VM is closed. */
struct guest *guest_free(struct guest *guest);
/* An enum model_access, or the negative errno of what KVM could not do. */
int guest_access(struct guest *guest, uint64_t guest_phys_addr, uint8_t *byte, bool write);
