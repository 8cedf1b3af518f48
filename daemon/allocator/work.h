/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An allocator's work: threads that allocate a file's range, chunk by chunk.
 */
#pragma once

#include "daemon/allocator/shared_progress.h"

/*
 * Allocates what the allocation says of the file memory. Returns how it ended; with
 * ALLOCATION_FAILED, allocation->error says why.
 */
enum allocation_end allocator_work(struct allocation *allocation, int memory);
