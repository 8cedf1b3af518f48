/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node.list.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/methods/methods.h"
#include "daemon/request/page_cursor.h"
#include "daemon/vm/memory.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/meminfo.h"
#include "protocol/json.h"

#define CURSOR "node"

/* In one answer: the kernel is asked for three files of each, some 20 us all together. */
#define NODES_LISTED_MAX 8

/* Of a line of the kernel's; a host of a thousand nodes has longer ones. */
#define LINE_SIZE 2048

/* Nodes of a page, in the order of their numbers. */
struct node_page {
	const struct capacity_node *nodes[NODES_LISTED_MAX];
	uint64_t resident[NODES_LISTED_MAX];
	size_t count;
	const struct capacity_node *next; /* that it has no room for; NULL: none */
};

/* Of those from a number on, the one with the lowest. */
static const struct capacity_node *node_from(const struct capacity *capacity, uint64_t from)
{
	const struct capacity_node *found = NULL;

	for (size_t i = 0; i < capacity->n_nodes; i++) {
		const struct capacity_node *node = capacity->nodes[i];

		if (node->number >= from && (!found || node->number < found->number))
			found = node;
	}
	return found;
}

static void choose_nodes(const struct capacity *capacity, uint64_t from, struct node_page *ret)
{
	const struct capacity_node *node = node_from(capacity, from);

	*ret = (struct node_page){.count = 0};
	for (; node && ret->count < NODES_LISTED_MAX; node = node_from(capacity, node->number + 1))
		ret->nodes[ret->count++] = node;
	ret->next = node;
}

static void add_memory(struct node_page *page, const struct memory *memory)
{
	for (size_t i = 0; i < page->count; i++) {
		if (memory->node == (int)page->nodes[i]->number)
			page->resident[i] += memory->resident;
	}
}

static void add_resident(struct node_page *page, struct registry *registry)
{
	struct memory *memory;
	struct vm *vm;

	RB_FOREACH (vm, vm_tree, &registry->vms) {
		RB_FOREACH (memory, memory_tree, &vm->memories)
			add_memory(page, memory);
	}
}

static void add_line(
	struct json_object *object, const char *member, unsigned number, const char *file)
{
	char line[LINE_SIZE];

	if (meminfo_node_line(number, file, line, sizeof line) < 0)
		line[0] = '\0';
	json_add_string(object, member, line);
}

static struct meminfo node_now(unsigned number)
{
	struct meminfo meminfo = {.free = 0, .available = 0};
	cleanup_fd int fd = -1;

	if (meminfo_open_node(number, &fd) == 0)
		meminfo_read_node(fd, &meminfo);
	return meminfo;
}

static void describe_node(
	struct json_object *object, const struct capacity_node *node, uint64_t resident)
{
	const struct meminfo now = node_now(node->number);
	const struct budget *budget = &node->budget;

	json_add_uint(object, "node", node->number);
	add_line(object, "cpus", node->number, "cpulist");
	add_line(object, "distances", node->number, "distance");
	json_add_uint(object, "size", node->total);
	json_add_uint(object, "free", now.free);
	json_add_uint(object, "available", now.available);
	json_add_uint(object, "reserve", node->reserve);
	json_add_uint(object, "limit", budget->limit);
	json_add_uint(object, "committed", budget->used);
	json_add_uint(object, "promised", budget->promised);
	json_add_uint(object, "uncommitted",
		budget->limit > budget->committed ? budget->limit - budget->committed : 0);
	json_add_uint(object, "resident", resident);
}

int handle_node_list(struct request *request)
{
	const char *cursor = request->parameters.node_list.cursor;
	struct gmemd *gmemd = request->gmemd;
	struct json_object *list;
	struct node_page page;
	uint64_t from = 0;

	if (cursor && !page_cursor_read(cursor, CURSOR, &from))
		return page_cursor_error(request);
	choose_nodes(&gmemd->capacity, from, &page);
	add_resident(&page, &gmemd->registry);
	list = json_add_array(request->result, "nodes");
	for (size_t i = 0; i < page.count; i++)
		describe_node(json_append_object(list), page.nodes[i], page.resident[i]);
	if (page.next)
		page_cursor_add(request->result, CURSOR, page.next->number);
	return 0;
}
