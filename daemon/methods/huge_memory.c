/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memories of huge pages. See huge_memory.h.
 */
#include "daemon/methods/huge_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "kernel/host/huge_pages.h"

static int read_failed(struct request *request, int r, uint64_t page_size)
{
	char what[64];

	if (r != -ENOENT)
		return rpc_error_kernel(
			&request->error, -r, "reading how many huge pages there are");
	snprintf(what, sizeof what, "huge pages of %" PRIu64 " bytes", page_size);
	return rpc_error_unsupported(&request->error, what, request->gmemd->host.kernel_release);
}

/* Those of a node that the host as a whole has not reserved may be any. */
static int check_node(
	struct request *request, const struct memory_request *wanted, const struct huge_pages *host)
{
	struct huge_pages pages;
	int r;

	if (wanted->node == NODE_ANY)
		return 0;
	r = huge_pages_read_node(wanted->page_size, (unsigned)wanted->node, &pages);
	if (r < 0)
		return read_failed(request, r, wanted->page_size);
	if (wanted->size / wanted->page_size <= huge_pages_available(&pages))
		return 0;
	return rpc_error_no_huge_pages(&request->error, "node", wanted->page_size, pages.total,
		pages.free, host->reserved, wanted->size);
}

int request_huge_pages(struct request *request, const struct memory_request *wanted)
{
	struct huge_pages pages;
	int r;

	if (wanted->page_size == 0)
		return 0;
	r = huge_pages_read(wanted->page_size, &pages);
	if (r < 0)
		return read_failed(request, r, wanted->page_size);
	if (wanted->size / wanted->page_size <= huge_pages_available(&pages))
		return check_node(request, wanted, &pages);
	return rpc_error_no_huge_pages(&request->error, "host", wanted->page_size, pages.total,
		pages.free, pages.reserved, wanted->size);
}

int request_whole_pages(struct request *request, const struct memory *memory, const char *prefix,
	uint64_t offset, uint64_t size)
{
	const uint64_t page_size = memory_page_size(memory);
	const char *member = offset % page_size != 0 ? "offset" : size % page_size ? "size" : NULL;
	char param[64], expected[64];

	if (!member)
		return 0;
	snprintf(param, sizeof param, "%s%s", prefix, member);
	snprintf(expected, sizeof expected, "a multiple of the memory's page size, %" PRIu64,
		page_size);
	return rpc_error_invalid_param(&request->error, param, expected);
}
