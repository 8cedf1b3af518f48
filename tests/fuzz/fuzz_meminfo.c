/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's and its nodes' memory, and the numbers of nodes: what a file of the kernel's may hold.
 * Outputs are written on success alone.
 */
#include <errno.h>
#include <string.h>

#include "kernel/host/meminfo.h"
#include "tests/fuzz/fuzz.h"

static void try_meminfo(const char *text, int (*parse)(const char *text, struct meminfo *ret))
{
	struct meminfo meminfo = {1, 2, 3};
	int r = parse(text, &meminfo);

	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	if (r == 0)
		FUZZ_CHECK(meminfo.total % 1024 == 0 && meminfo.free % 1024 == 0);
	else
		FUZZ_CHECK(meminfo.total == 1 && meminfo.free == 2 && meminfo.available == 3);
}

static void try_nodes(const char *text)
{
	struct ranges nodes = {.leaves = NULL};
	struct range_place place;
	uint64_t end = 0;
	int r = meminfo_parse_nodes(text, &nodes);

	FUZZ_CHECK(r <= 0);
	for (const struct range *range = ranges_from(&nodes, 0, &place); range;
		range = ranges_next(&place)) {
		FUZZ_CHECK(range->start < range->end && (end == 0 || end < range->start));
		end = range->end;
	}
	ranges_clear(&nodes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	char *text = fuzz_text(&input);

	try_meminfo(text, meminfo_parse);
	try_meminfo(text, meminfo_parse_node);
	try_nodes(text);
	free(text);
	return 0;
}
