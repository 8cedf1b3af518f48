/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NUMA nodes. See numa_node.h.
 */
#include "daemon/base/numa_node.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/ranges.h"
#include "kernel/host/meminfo.h"

/* Linux 2.6.26; Debian 12's <numaif.h> has it not. */
#ifndef MPOL_F_STATIC_NODES
#define MPOL_F_STATIC_NODES (1 << 15)
#endif

/* libnuma knows those that there were when it was loaded. */
bool node_exists(int node)
{
	struct ranges nodes = {.leaves = NULL};
	bool exists = node == 0;

	if (meminfo_nodes(&nodes) == 0)
		exists = node >= 0 && ranges_contain(&nodes, (uint64_t)node);
	ranges_clear(&nodes);
	return exists;
}

static unsigned cores_of_node(int node, const cpu_set_t *allowed)
{
	struct bitmask *cores = numa_allocate_cpumask();
	unsigned count = 0;

	if (numa_node_to_cpus(node, cores) == 0) {
		for (unsigned core = 0; core < cores->size && core < CPU_SETSIZE; core++)
			count += numa_bitmask_isbitset(cores, core) && CPU_ISSET(core, allowed);
	}
	numa_free_cpumask(cores);
	return count;
}

unsigned node_cores(int node)
{
	cpu_set_t allowed;
	unsigned count;

	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		return 1;
	if (node == NODE_ANY || numa_available() < 0)
		count = (unsigned)CPU_COUNT(&allowed);
	else
		count = node_exists(node) ? cores_of_node(node, &allowed) : 0;
	return count > 0 ? count : 1;
}

/* Calls bind with the mask of that node alone. */
static int with_mask(
	int node, long (*bind)(const struct bitmask *nodes, void *context), void *context)
{
	struct bitmask *nodes;
	long r;

	if (node == NODE_ANY)
		return 0;
	if (!node_exists(node))
		return -EINVAL;
	if (numa_available() < 0)
		return 0;
	nodes = numa_allocate_nodemask();
	numa_bitmask_setbit(nodes, (unsigned)node);
	r = bind(nodes, context);
	numa_free_nodemask(nodes);
	return r < 0 ? -errno : 0;
}

static long bind_self(const struct bitmask *nodes, void *context)
{
	(void)context;
	return set_mempolicy(MPOL_BIND | MPOL_F_STATIC_NODES, nodes->maskp, nodes->size + 1);
}

int node_bind(int node)
{
	return with_mask(node, bind_self, NULL);
}

struct mapped {
	void *bytes;
	uint64_t size;
};

static long bind_mapping(const struct bitmask *nodes, void *context)
{
	const struct mapped *mapped = context;

	return mbind(mapped->bytes, mapped->size, MPOL_BIND | MPOL_F_STATIC_NODES, nodes->maskp,
		nodes->size + 1, 0);
}

int node_bind_file(int fd, uint64_t size, int node)
{
	struct mapped mapped = {.size = size};
	int r;

	if (node == NODE_ANY)
		return 0;
	mapped.bytes = mmap(NULL, size, PROT_NONE, MAP_SHARED, fd, 0);
	if (mapped.bytes == MAP_FAILED)
		return 0; /* a guest_memfd without its MMAP flag */
	r = with_mask(node, bind_mapping, &mapped);
	munmap(mapped.bytes, size);
	return r;
}

/* Of one move_pages(2). */
#define LOOKED_AT_ONCE 256

struct look {
	void *pages[LOOKED_AT_ONCE];
	uint64_t bytes[LOOKED_AT_ONCE]; /* that each stands for */
	unsigned count;
	int node;
	uint64_t elsewhere;
};

static void look_at_pages(struct look *look)
{
	int nodes[LOOKED_AT_ONCE];

	if (move_pages(0, look->count, look->pages, NULL, nodes, 0) < 0)
		look->count = 0;
	for (unsigned i = 0; i < look->count; i++) {
		if (nodes[i] >= 0 && nodes[i] != look->node)
			look->elsewhere += look->bytes[i];
	}
	look->count = 0;
}

/* The kernel tells of what is in this process's page tables alone. */
static void look_at(struct look *look, void *page, uint64_t bytes)
{
	if (madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_POPULATE_READ) < 0)
		return;
	look->pages[look->count] = page;
	look->bytes[look->count++] = bytes;
	if (look->count == LOOKED_AT_ONCE)
		look_at_pages(look);
}

uint64_t node_elsewhere(int fd, uint64_t offset, uint64_t size, uint64_t step, int node)
{
	struct look look = {.node = node};
	char *bytes;

	if (node == NODE_ANY)
		return 0;
	bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	if (bytes == MAP_FAILED)
		return 0; /* as in node_bind_file() */
	for (uint64_t at = 0; at < size; at += step)
		look_at(&look, bytes + at, size - at < step ? size - at : step);
	if (look.count > 0)
		look_at_pages(&look);
	munmap(bytes, size);
	return look.elsewhere;
}
