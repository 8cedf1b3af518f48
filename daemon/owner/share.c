/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shares. See share.h.
 */
#include "daemon/owner/share.h"

#include <assert.h>

/* Keeps fractions where a time is divided by a weight. */
#define WEIGHT_UNIT 1024

void share_init(struct share_node *node, struct share_node *parent)
{
	*node = (struct share_node){.parent = parent};
	TAILQ_INIT(&node->waiting);
}

bool share_waits(const struct share_node *node)
{
	return node->is_leaf ? !TAILQ_EMPTY(&node->queue) : !TAILQ_EMPTY(&node->waiting);
}

/*
 * The list is in the order of the next turns. Who was served before the one at its head was comes
 * before it: that one has waited since, or would stand behind. All others queue up.
 */
static void join(struct share_node *node)
{
	struct share_list *list = &node->parent->waiting;
	const struct share_node *first = TAILQ_FIRST(list);

	assert(!node->parent->is_leaf);
	if (first && node->served < first->served)
		TAILQ_INSERT_HEAD(list, node, link);
	else
		TAILQ_INSERT_TAIL(list, node, link);
}

static bool is_due(const struct share_node *node)
{
	return share_waits(node) && (node->held_max == 0 || node->held < node->held_max);
}

/* It or a child of it has become due, or is no more: it is in its parent's list while it is due. */
static void list_if_due(struct share_node *node)
{
	for (; node->parent && is_due(node) != node->listed; node = node->parent) {
		node->listed = !node->listed;
		if (node->listed)
			join(node);
		else
			TAILQ_REMOVE(&node->parent->waiting, node, link);
	}
}

static void await_all(struct share_node *leaf)
{
	for (struct share_node *node = leaf; node->parent; node = node->parent)
		list_if_due(node);
}

static void leave_parent(struct share_node *node)
{
	if (node->listed)
		TAILQ_REMOVE(&node->parent->waiting, node, link);
	node->listed = false;
	for (struct share_node *above = node->parent; above; above = above->parent)
		above->held -= node->held;
	await_all(node->parent);
}

void share_move(struct share_node *node, struct share_node *parent)
{
	leave_parent(node);
	node->parent = parent;
	node->served = parent->turns;
	for (struct share_node *above = parent; above; above = above->parent)
		above->held += node->held;
	await_all(node);
}

void share_hold(struct share_node *leaf)
{
	for (struct share_node *node = leaf; node; node = node->parent)
		node->held++;
	await_all(leaf);
}

void share_let_go(struct share_node *leaf)
{
	for (struct share_node *node = leaf; node; node = node->parent)
		node->held--;
	await_all(leaf);
}

/* Lists of children and of work are in one place, and an empty one is either. */
static void become_leaf(struct share_node *node)
{
	if (node->is_leaf)
		return;
	assert(TAILQ_EMPTY(&node->waiting));
	TAILQ_INIT(&node->queue);
	node->is_leaf = true;
}

void share_add(struct share_node *leaf, struct share_work *work)
{
	assert(!work->leaf);
	become_leaf(leaf);
	TAILQ_INSERT_TAIL(&leaf->queue, work, link);
	work->leaf = leaf;
	list_if_due(leaf);
}

void share_add_first(struct share_node *leaf, struct share_work *work)
{
	assert(!work->leaf);
	become_leaf(leaf);
	TAILQ_INSERT_HEAD(&leaf->queue, work, link);
	work->leaf = leaf;
	list_if_due(leaf);
}

void share_remove(struct share_work *work)
{
	struct share_node *leaf = work->leaf;

	if (!leaf)
		return;
	TAILQ_REMOVE(&leaf->queue, work, link);
	work->leaf = NULL;
	list_if_due(leaf);
}

struct share_node *share_take_turn(struct share_node *root)
{
	struct share_node *node = root, *child;

	while (!node->is_leaf && (child = TAILQ_FIRST(&node->waiting))) {
		child->served = ++node->turns;
		TAILQ_REMOVE(&node->waiting, child, link);
		TAILQ_INSERT_TAIL(&node->waiting, child, link);
		node = child;
	}
	return node == root ? NULL : node;
}

struct share_work *share_take_work(struct share_node *leaf)
{
	struct share_work *work = leaf->is_leaf ? TAILQ_FIRST(&leaf->queue) : NULL;

	if (work)
		share_remove(work);
	return work;
}

/* Classes */

struct share_class *share_class_next(struct share_classes *classes)
{
	struct share_class *next = NULL;

	for (size_t i = 0; i < classes->count; i++) {
		struct share_class *one = &classes->classes[i];
		bool waits = share_waits(one->root);

		if (waits && !one->waited && one->spent < classes->clock)
			one->spent = classes->clock;
		one->waited = waits;
		if (waits && (!next || one->spent < next->spent))
			next = one;
	}
	if (next && next->spent > classes->clock)
		classes->clock = next->spent;
	return next;
}

void share_class_spend(struct share_class *chosen, uint64_t time)
{
	chosen->spent += time * WEIGHT_UNIT / chosen->weight;
}
