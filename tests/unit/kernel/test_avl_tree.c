/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trees, and pools: random keys beside an array, keys in every order, and how deep it gets.
 */
#include "kernel/base/avl_tree.h"
#include "kernel/base/pool.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

#define KEYS  2000u
#define STEPS 40000u
/* 1.44 log2(KEYS) */
#define DEPTH_MAX 15

struct thing {
	struct avl_links by_key, backwards;
	uint32_t key, place;
};

static int compare(const void *object, const void *key)
{
	const struct thing *thing = object;
	uint32_t wanted = *(const uint32_t *)key;

	return thing->key < wanted ? -1 : thing->key > wanted;
}

static int compare_backwards(const void *object, const void *key)
{
	return -compare(object, key);
}

static const struct avl_order order = {offsetof(struct thing, by_key), compare};
static const struct avl_order backwards = {offsetof(struct thing, backwards), compare_backwards};

struct world {
	struct pool pool;
	void *root, *back;
	struct thing *things[KEYS]; /* by key; NULL: there is none */
};

static void add(struct world *world, uint32_t key)
{
	uint32_t place = 0;
	struct thing *thing = pool_take(&world->pool, sizeof *thing, &place);

	CU_ASSERT_PTR_NOT_NULL_FATAL(thing);
	CU_ASSERT_EQUAL(thing->by_key.to[0] | thing->by_key.to[1] | thing->key, 0);
	CU_ASSERT_PTR_EQUAL(pool_at(&world->pool, sizeof *thing, place), thing);
	CU_ASSERT_PTR_EQUAL(pool_of(thing, sizeof *thing, place), &world->pool);
	thing->key = key;
	thing->place = place;
	avl_insert(&order, &world->root, thing, &key);
	avl_insert(&backwards, &world->back, thing, &key);
	world->things[key] = thing;
}

static void drop(struct world *world, uint32_t key)
{
	uint32_t place = world->things[key]->place;

	avl_remove(&order, &world->root, &key);
	avl_remove(&backwards, &world->back, &key);
	pool_give_back(&world->pool, place);
	world->things[key] = NULL;
}

/* Below that node; the two sides of each differ by one at most, and it says which is deeper. */
static int depth(const struct thing *thing)
{
	int sides[2];

	if (!thing)
		return 0;
	for (unsigned side = 0; side < 2; side++)
		sides[side] = depth(avl_child(&order, thing, side));
	for (unsigned side = 0; side < 2; side++)
		CU_ASSERT_EQUAL(sides[side] == sides[!side] + 1,
			(thing->by_key.to[side] & AVL_DEEPER) != 0);
	CU_ASSERT_TRUE(abs(sides[0] - sides[1]) <= 1);
	return 1 + (sides[0] > sides[1] ? sides[0] : sides[1]);
}

static void check_all(const struct world *world)
{
	const struct thing *next = NULL, *last = NULL;

	CU_ASSERT_TRUE(depth(world->root) <= DEPTH_MAX);
	for (uint32_t key = KEYS; key-- > 0;) {
		if (world->things[key])
			next = world->things[key];
		CU_ASSERT_PTR_EQUAL(avl_find_from(&order, world->root, &key), next);
		CU_ASSERT_PTR_EQUAL(avl_find(&order, world->root, &key), world->things[key]);
	}
	for (uint32_t key = 0; key < KEYS; key++) {
		if (world->things[key])
			last = world->things[key];
		CU_ASSERT_PTR_EQUAL(avl_find_from(&backwards, world->back, &key), last);
	}
}

/* Whatever there is in the end goes in the order of the keys. */
static void drop_all(struct world *world)
{
	for (uint32_t key = 0; key < KEYS; key++) {
		if (world->things[key])
			drop(world, key);
	}
	CU_ASSERT_PTR_NULL(world->root);
	CU_ASSERT_PTR_NULL(world->back);
	CU_ASSERT_EQUAL(world->pool.n_chunks, 0);
	CU_ASSERT_PTR_NULL(world->pool.chunks);
}

static void test_random(void)
{
	struct world world = {.root = NULL};

	srandom(1);
	for (unsigned step = 0; step < STEPS; step++) {
		uint32_t key = (uint32_t)random() % KEYS;

		if (world.things[key])
			drop(&world, key);
		else
			add(&world, key);
		if (step % (STEPS / 8) == 0)
			check_all(&world);
	}
	check_all(&world);
	drop_all(&world);
}

/* Keys as they come, from either end, and to and fro between the ends. */
static uint32_t key_of(unsigned way, uint32_t i)
{
	if (way == 0)
		return i;
	if (way == 1)
		return KEYS - 1 - i;
	return i % 2 ? KEYS - 1 - i / 2 : i / 2;
}

static void test_orders(void)
{
	for (unsigned way = 0; way < 3; way++) {
		struct world world = {.root = NULL};

		for (uint32_t i = 0; i < KEYS; i++)
			add(&world, key_of(way, i));
		check_all(&world);
		for (uint32_t i = 0; i < KEYS; i += 2)
			drop(&world, key_of(way, i));
		check_all(&world);
		drop_all(&world);
	}
}

#define FEW (POOL_SMALL_CHUNKS * POOL_SMALL_OBJECTS)

/* The place of the object that is the one of that index where none was given back. */
static uint32_t place_of(uint32_t index)
{
	uint32_t chunk = index / POOL_SMALL_OBJECTS, in_chunk = index % POOL_SMALL_OBJECTS;

	if (index >= FEW) {
		chunk = POOL_SMALL_CHUNKS + (index - FEW) / POOL_CHUNK_OBJECTS;
		in_chunk = (index - FEW) % POOL_CHUNK_OBJECTS;
	}
	return (1 + chunk) * POOL_CHUNK_OBJECTS + in_chunk;
}

static void take(struct pool *pool, uint32_t index)
{
	uint32_t place = 0;
	struct thing *thing = pool_take(pool, sizeof *thing, &place);

	CU_ASSERT_EQUAL_FATAL(place, place_of(index));
	CU_ASSERT_PTR_EQUAL(pool_at(pool, sizeof *thing, place), thing);
	CU_ASSERT_PTR_EQUAL(pool_of(thing, sizeof *thing, place), pool);
	memset(thing, 0xff, sizeof *thing);
}

static void give_back(struct pool *pool, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++)
		pool_give_back(pool, place_of(i));
}

/* What is given back is taken again first, and a chunk that is empty is there no more. */
static void test_places(void)
{
	const uint32_t count = FEW + 2 * POOL_CHUNK_OBJECTS;
	struct pool pool = {.chunks = NULL};

	for (uint32_t i = 0; i < count; i++)
		take(&pool, i);
	CU_ASSERT_EQUAL(pool.n_chunks, 1 + POOL_SMALL_CHUNKS + 2);
	give_back(&pool, POOL_SMALL_OBJECTS, FEW + POOL_CHUNK_OBJECTS);
	CU_ASSERT_PTR_NULL(pool.chunks[2]);
	CU_ASSERT_PTR_NULL(pool.chunks[3]);
	CU_ASSERT_EQUAL(pool.n_chunks, 1 + POOL_SMALL_CHUNKS + 2);
	give_back(&pool, 3, 4);
	for (uint32_t i = 3; i < FEW + POOL_CHUNK_OBJECTS; i++)
		take(&pool, i);
	give_back(&pool, 0, count);
	CU_ASSERT_EQUAL(pool.n_chunks, 0);
	CU_ASSERT_PTR_NULL(pool.chunks);
}

static CU_TestInfo tests[] = {
	{"places: the lowest free one first, empty chunks are freed", test_places},
	{"keys that come in order, from either end and from both", test_orders},
	{"random keys come and go, beside an array", test_random},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "AVL tree", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
