/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What vm.get tells of a VM, by number and by address.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/base/ranges.h"

struct json_object;

/* NULL where it is not told of. vm: vm.get's result. */
const struct json_object *vm_view_memory(const struct json_object *vm, uint64_t memory);
/* Whether it is a guest_memfd with its mmap flag (Linux 6.18). */
bool vm_view_has_mmap(const struct json_object *vm, uint64_t memory);
/* Adds the guest's private frames to ret. -ENOMEM; -EINVAL for what can't be. */
int vm_view_private(const struct json_object *vm, struct ranges *ret);
