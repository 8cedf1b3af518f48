/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a memory no guest can see: computed from what vm.get tells.
 */
#pragma once

#include <stdint.h>

#include "kernel/base/ranges.h"

struct json_object;

/* Adds to ret, which is empty, the offsets of the memory that no bound slot shows its guest: whole
 * pages of the memory's. vm: vm.get's result. -ENOMEM. */
int stale_find(const struct json_object *vm, uint64_t memory, uint64_t size, struct ranges *ret);
