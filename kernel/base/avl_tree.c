/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Search trees. See avl_tree.h.
 */
#include "kernel/base/avl_tree.h"

#include <stdbool.h>

struct tree {
	const struct avl_order *order;
	void **root;
};

static uintptr_t *link_of(const struct tree *tree, void *node, unsigned side)
{
	struct avl_links *links = (void *)((unsigned char *)node + tree->order->links);

	return &links->to[side];
}

static void *child(const struct tree *tree, const void *node, unsigned side)
{
	return avl_child(tree->order, node, side);
}

static void set_child(const struct tree *tree, void *node, unsigned side, void *to)
{
	uintptr_t *link = link_of(tree, node, side);

	*link = (*link & AVL_DEEPER) | (uintptr_t)to;
}

static bool is_deeper(const struct tree *tree, void *node, unsigned side)
{
	return *link_of(tree, node, side) & AVL_DEEPER;
}

static void set_deeper(const struct tree *tree, void *node, unsigned side, bool deeper)
{
	uintptr_t *link = link_of(tree, node, side);

	*link = (*link & ~AVL_DEEPER) | (deeper ? AVL_DEEPER : 0);
}

/* What is at the end of the path, the first so many of its steps, is that node from now on. */
static void put(const struct tree *tree, const struct avl_path *path, unsigned length, void *node)
{
	if (length == 0)
		*tree->root = node;
	else
		set_child(tree, path->objects[length - 1], path->sides[length - 1], node);
}

/* Rotations: the node's child on that side takes its place, or that one's other child does. What
 * takes it is returned. */

static void *rotate_once(const struct tree *tree, void *node, unsigned side)
{
	void *top = child(tree, node, side);

	set_child(tree, node, side, child(tree, top, !side));
	set_child(tree, top, !side, node);
	return top;
}

static void *rotate_twice(const struct tree *tree, void *node, unsigned side)
{
	void *below = child(tree, node, side), *top;
	bool deeper, deeper_other;

	top = rotate_once(tree, below, !side);
	set_child(tree, node, side, top);
	deeper = is_deeper(tree, top, side);
	deeper_other = is_deeper(tree, top, !side);
	rotate_once(tree, node, side);
	set_deeper(tree, node, side, false);
	set_deeper(tree, node, !side, deeper);
	set_deeper(tree, below, !side, false);
	set_deeper(tree, below, side, deeper_other);
	set_deeper(tree, top, side, false);
	set_deeper(tree, top, !side, false);
	return top;
}

/* A node that is deeper by two on that side. *ret_lower: it is less deep then than it has been. */
static void *balance(const struct tree *tree, void *node, unsigned side, bool *ret_lower)
{
	void *below = child(tree, node, side);
	bool even = !is_deeper(tree, below, side);

	*ret_lower = true;
	if (is_deeper(tree, below, !side))
		return rotate_twice(tree, node, side);
	rotate_once(tree, node, side);
	set_deeper(tree, node, side, even);
	set_deeper(tree, below, side, false);
	set_deeper(tree, below, !side, even);
	*ret_lower = !even;
	return below;
}

/* What is at the end of the path has become deeper by one. */
static void has_grown(const struct tree *tree, const struct avl_path *path)
{
	for (unsigned i = path->length; i-- > 0;) {
		void *node = path->objects[i];
		unsigned side = path->sides[i];
		bool lower;

		if (is_deeper(tree, node, !side)) {
			set_deeper(tree, node, !side, false);
			return;
		}
		if (is_deeper(tree, node, side)) {
			put(tree, path, i, balance(tree, node, side, &lower));
			return;
		}
		set_deeper(tree, node, side, true);
	}
}

/* The same, less deep by one. */
static void has_shrunk(const struct tree *tree, const struct avl_path *path)
{
	for (unsigned i = path->length; i-- > 0;) {
		void *node = path->objects[i];
		unsigned side = path->sides[i];
		bool lower = true;

		if (is_deeper(tree, node, side)) {
			set_deeper(tree, node, side, false);
		} else if (is_deeper(tree, node, !side)) {
			put(tree, path, i, balance(tree, node, !side, &lower));
		} else {
			set_deeper(tree, node, !side, true);
			return;
		}
		if (!lower)
			return;
	}
}

void avl_put(const struct avl_order *order, void **root, struct avl_path *path, void *object)
{
	const struct tree tree = {order, root};

	*link_of(&tree, object, 0) = *link_of(&tree, object, 1) = 0;
	put(&tree, path, path->length, object);
	has_grown(&tree, path);
}

/* The path ends at the node, which has two children: the next one takes its place, and the path
 * goes on to where that was. */
static void take_next(const struct tree *tree, struct avl_path *path, void *node)
{
	unsigned at = path->length;
	void *next = child(tree, node, 1), *below;

	avl_go(path, node, 1);
	while ((below = child(tree, next, 0))) {
		avl_go(path, next, 0);
		next = below;
	}
	put(tree, path, path->length, child(tree, next, 1));
	*link_of(tree, next, 0) = *link_of(tree, node, 0);
	*link_of(tree, next, 1) = *link_of(tree, node, 1);
	path->objects[at] = next;
	put(tree, path, at, next);
}

void avl_take(const struct avl_order *order, void **root, struct avl_path *path, void *object)
{
	const struct tree tree = {order, root};
	void *before = child(&tree, object, 0), *behind = child(&tree, object, 1);

	if (before && behind)
		take_next(&tree, path, object);
	else
		put(&tree, path, path->length, before ? before : behind);
	has_shrunk(&tree, path);
}
