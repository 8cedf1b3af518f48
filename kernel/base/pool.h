/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pools: objects of one size, each with a number that is its place, in chunks of eight; the first
 * two are of four, for most have few.
 *
 * An object costs nothing beside itself, and has no pointer to what they all are of: its pool is
 * found by its place. Objects never move. A chunk of which all
 * are given back is freed, and so is the pool's table with the last of them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define POOL_CHUNK_OBJECTS 8
#define POOL_SMALL_CHUNKS  2
#define POOL_SMALL_OBJECTS 4

struct pool_chunk {
	struct pool *pool;
	uint32_t used; /* a bit for each, and for each that a chunk of four lacks */
	_Alignas(uint64_t) unsigned char objects[];
};

/* All zeroes is an empty one, which must stay where it is while it has any. */
struct pool {
	/* The first is none, for no number is 0; NULL in it else: all of that one are free. */
	struct pool_chunk **chunks;
	uint32_t n_chunks;
	uint32_t lowest; /* no chunk below has a free one */
};

/* One more, all zeroes, and its number, which is never 0. size is bytes, a multiple of 8 that is
 * the same for all of the pool. NULL without memory. */
void *pool_take(struct pool *pool, size_t size, uint32_t *ret_number);
/* It must be in use. */
void pool_give_back(struct pool *pool, uint32_t number);

/* The object of that number, which is in use. */
static inline void *pool_at(const struct pool *pool, size_t size, uint32_t number)
{
	struct pool_chunk *chunk = pool->chunks[number / POOL_CHUNK_OBJECTS];

	return chunk->objects + number % POOL_CHUNK_OBJECTS * size;
}

/* What the object is of. */
static inline struct pool *pool_of(const void *object, size_t size, uint32_t number)
{
	const unsigned char *first =
		(const unsigned char *)object - number % POOL_CHUNK_OBJECTS * size;

	return ((const struct pool_chunk *)(const void *)(first -
							  offsetof(struct pool_chunk, objects)))
		->pool;
}
