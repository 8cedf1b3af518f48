/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Search trees, with the links in what they have, of half the size of libbsd's: none leads up, and
 * the bits that balance takes are in the links. Of n objects none is more than 1.44 log2(n) deep.
 * Nothing here allocates, or can fail.
 *
 * A tree is its root, NULL for none.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* To what is before it, and behind: an address, and in its lowest bit whether it is deeper there
 * than on the other side. */
struct avl_links {
	uintptr_t to[2];
};

#define AVL_DEEPER ((uintptr_t)1)

struct avl_order {
	size_t links; /* where they are in an object */
	/* Below 0 where the object is before the key, above 0 behind it. */
	int (*compare)(const void *object, const void *key);
};

/* More than a tree of 2^40 objects is deep. */
#define AVL_DEPTH_MAX 60

/* The way from the root to a place: objects, and to which side of each it went. */
struct avl_path {
	unsigned length;
	uint8_t sides[AVL_DEPTH_MAX];
	void *objects[AVL_DEPTH_MAX];
};

/* Puts the object where the path ends, which is nowhere. */
void avl_put(const struct avl_order *order, void **root, struct avl_path *path, void *object);
/* Takes the object out that is where the path ends. */
void avl_take(const struct avl_order *order, void **root, struct avl_path *path, void *object);

/* What searches is inline, and an order is a constant, so that each tree has a search of its
 * own. */
#define AVL_INLINE __attribute__((always_inline, unused)) static inline

/* NULL: it has none there. */
AVL_INLINE void *avl_child(const struct avl_order *order, const void *object, unsigned side)
{
	const struct avl_links *links =
		(const void *)((const unsigned char *)object + order->links);

	return (void *)(links->to[side] & ~AVL_DEEPER);
}

/* The one that is neither before nor behind the key, or NULL. */
AVL_INLINE void *avl_find(const struct avl_order *order, void *root, const void *key)
{
	while (root) {
		int compared = order->compare(root, key);

		if (compared < 0)
			root = avl_child(order, root, 1);
		else if (compared > 0)
			root = avl_child(order, root, 0);
		else
			break;
	}
	return root;
}

/* The first that is not before the key, or NULL. */
AVL_INLINE void *avl_find_from(const struct avl_order *order, void *root, const void *key)
{
	void *found = NULL;

	while (root) {
		int compared = order->compare(root, key);

		if (compared < 0) {
			root = avl_child(order, root, 1);
		} else {
			found = root;
			root = compared > 0 ? avl_child(order, root, 0) : NULL;
		}
	}
	return found;
}

AVL_INLINE void avl_go(struct avl_path *path, void *object, unsigned side)
{
	path->objects[path->length] = object;
	path->sides[path->length++] = (uint8_t)side;
}

/* The object, whose key it is, and which is as none in the tree. */
AVL_INLINE void avl_insert(
	const struct avl_order *order, void **root, void *object, const void *key)
{
	struct avl_path path;

	path.length = 0;
	for (void *at = *root; at;) {
		unsigned side = order->compare(at, key) < 0;

		avl_go(&path, at, side);
		at = avl_child(order, at, side);
	}
	avl_put(order, root, &path, object);
}

/* The object with that key, which is in the tree. */
AVL_INLINE void avl_remove(const struct avl_order *order, void **root, const void *key)
{
	struct avl_path path;
	void *at = *root;
	int compared;

	path.length = 0;
	while ((compared = order->compare(at, key)) != 0) {
		avl_go(&path, at, compared < 0);
		at = avl_child(order, at, compared < 0);
	}
	avl_take(order, root, &path, at);
}
