/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A real VM of the test's own process, where the machine has one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes a VM of a type, whose guest_memfd the test wants. Where that can't be had here, skips the
 * current test and returns false. The caller owns the VM.
 */
bool vm_or_skip(unsigned long type, int *ret_vm);

/* A new guest_memfd of the VM, or a negative errno. */
int vm_guest_memfd(int vm, uint64_t size, uint64_t flags);
