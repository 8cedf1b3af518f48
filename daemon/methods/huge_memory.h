/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What requests for memories of huge pages must heed besides.
 */
#pragma once

#include "daemon/request/request.h"
#include "daemon/vm/memory.h"

/* Whether the host has as many huge pages, free and not reserved, as the memory would; all is well
 * with one that has none. Else what there is is filled in. */
int request_huge_pages(struct request *request, const struct memory_request *wanted);

/* Whether a part of the memory is whole pages of its; prefix: of both parameters' names. */
int request_whole_pages(struct request *request, const struct memory *memory, const char *prefix,
	uint64_t offset, uint64_t size);
