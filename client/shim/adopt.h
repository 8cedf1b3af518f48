/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Anonymous memory that a VMM has mapped for its guest's RAM: when it is bound to a slot first, a
 * memory of gmemd's takes its place, all that was mapped in one.
 *
 * That is only done where nothing is lost by it, whoever else might write there meanwhile: what has
 * been written, be it one byte, stays the VMM's own. What was allocated but is all zero, as a VMM
 * does that preallocates, is allocated anew. What a vCPU's thread binds first is a device's memory
 * that the guest has moved, and is the VMM's own, too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Without the books. 0 where the range is gmemd's now, or can't be and is the VMM's own; -ENOMEM
 * where gmemd doesn't make the memory, which has been said.
 */
int adopt(uint64_t start, uint64_t size);
