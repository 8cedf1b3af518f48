/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shares: taking turns.
 *
 * Work waits in the leaves of a tree. A turn goes from the root to a leaf: at each node to the
 * child that has work and was served longest ago. So nobody is served twice while another waits,
 * however much work it has or how often it comes back with more, and whoever had nothing to do for
 * a while comes next. A leaf's work is taken in its order.
 *
 * A step takes as long as the tree is deep, allocates nothing and can't fail. A tree belongs to one
 * thread, or to whoever holds its lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct share_node;

struct share_work {
	TAILQ_ENTRY(share_work) link;
	struct share_node *leaf; /* where it waits; NULL: nowhere */
};

TAILQ_HEAD(share_list, share_node);
TAILQ_HEAD(share_queue, share_work);

struct share_node {
	TAILQ_ENTRY(share_node) link; /* in its parent's list, while it is due */
	struct share_node *parent;    /* NULL: it is the root */
	union {
		struct share_list waiting; /* children that are due, the next one first */
		struct share_queue queue;  /* of a leaf */
	};
	/* Turns are enough for 30 years of a million a second; held are threads. */
	uint64_t served : 50; /* its parent's turn that was its last; 0: none was */
	uint64_t listed : 1;  /* in its parent's list */
	uint64_t is_leaf : 1; /* work has waited there */
	uint64_t held : 12;
	uint64_t turns : 50;    /* of its own, so far */
	uint64_t held_max : 12; /* 0: any number */
};

/* parent, NULL for a root, must outlive it. It must wait for nothing when it goes. */
void share_init(struct share_node *node, struct share_node *parent);

/* It is another's child from now on, which was served last, with all that waits there. */
void share_move(struct share_node *node, struct share_node *parent);

/* Whether any work of it waits. */
bool share_waits(const struct share_node *node);

/* Has work that does not wait yet wait at the leaf, after all other work there or before it. What
 * has children is none. */
void share_add(struct share_node *leaf, struct share_work *work);
void share_add_first(struct share_node *leaf, struct share_work *work);
/* It waits no more, if it did. */
void share_remove(struct share_work *work);

/*
 * While a leaf's work is being done, by one of several threads, it can be held. A node is due while
 * something of it waits, and fewer than held_max of its leaves are held: so no more threads than
 * that are at its work.
 */
void share_hold(struct share_node *leaf);
void share_let_go(struct share_node *leaf);

/* Whose turn it is; from now on it is the last that was served. NULL where nothing waits. */
struct share_node *share_take_turn(struct share_node *root);
/* The leaf's next work, which waits no more then. NULL where it has none. */
struct share_work *share_take_work(struct share_node *leaf);

/*
 * Classes: trees beside each other, of which each that has work gets its part of the time, by its
 * weight. A class that has no work saves nothing up for later.
 */
struct share_class {
	struct share_node *root;
	unsigned weight;
	uint64_t spent; /* time by weight */
	bool waited;    /* when a class was last chosen */
};

struct share_classes {
	struct share_class *classes; /* of those that are equally due, the first comes first */
	size_t count;
	uint64_t clock; /* what the class that was last chosen had spent */
};

/* The class that is due; NULL where none has work. */
struct share_class *share_class_next(struct share_classes *classes);
/* It has had that much time, in any unit. */
void share_class_spend(struct share_class *chosen, uint64_t time);
