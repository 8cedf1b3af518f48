/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pools of objects. See pool.h.
 */
#include "kernel/base/pool.h"

#include <stdlib.h>
#include <string.h>

#define ALL_USED ((1u << POOL_CHUNK_OBJECTS) - 1)

/* There is one more of them then. */
static int add_chunk(struct pool *pool)
{
	uint32_t count = pool->n_chunks > 0 ? pool->n_chunks + 1 : 2;
	struct pool_chunk **chunks;

	chunks = reallocarray(pool->chunks, count, sizeof(struct pool_chunk *));
	if (!chunks)
		return -1;
	pool->chunks = chunks;
	chunks[0] = chunks[count - 1] = NULL;
	pool->n_chunks = count;
	return 0;
}

static unsigned room_of(uint32_t number)
{
	return number <= POOL_SMALL_CHUNKS ? POOL_SMALL_OBJECTS : POOL_CHUNK_OBJECTS;
}

/* What is used of one that has nothing. */
static uint32_t lacking(uint32_t number)
{
	return ALL_USED & ~((1u << room_of(number)) - 1);
}

static int make_chunk(struct pool *pool, size_t size, uint32_t number)
{
	struct pool_chunk *chunk = malloc(sizeof *chunk + room_of(number) * size);

	if (!chunk)
		return -1;
	chunk->pool = pool;
	chunk->used = lacking(number);
	pool->chunks[number] = chunk;
	return 0;
}

static int chunk_with_room(struct pool *pool, size_t size, uint32_t *ret)
{
	uint32_t chunk = pool->lowest > 0 ? pool->lowest : 1;

	while (chunk < pool->n_chunks && pool->chunks[chunk] &&
		pool->chunks[chunk]->used == ALL_USED)
		chunk++;
	if (chunk >= pool->n_chunks && add_chunk(pool) < 0)
		return -1;
	if (!pool->chunks[chunk] && make_chunk(pool, size, chunk) < 0)
		return -1;
	*ret = pool->lowest = chunk;
	return 0;
}

void *pool_take(struct pool *pool, size_t size, uint32_t *ret_number)
{
	struct pool_chunk *chunk;
	uint32_t number, place;
	void *object;

	if (chunk_with_room(pool, size, &number) < 0)
		return NULL;
	chunk = pool->chunks[number];
	place = (uint32_t)__builtin_ctz(~chunk->used);
	chunk->used |= 1u << place;
	object = chunk->objects + place * size;
	*ret_number = number * POOL_CHUNK_OBJECTS + place;
	return memset(object, 0, size);
}

static void free_table(struct pool *pool)
{
	while (pool->n_chunks > 1 && !pool->chunks[pool->n_chunks - 1])
		pool->n_chunks--;
	if (pool->n_chunks > 1)
		return;
	free(pool->chunks);
	*pool = (struct pool){.chunks = NULL};
}

void pool_give_back(struct pool *pool, uint32_t number)
{
	uint32_t at = number / POOL_CHUNK_OBJECTS;
	struct pool_chunk *chunk = pool->chunks[at];

	chunk->used &= ~(1u << number % POOL_CHUNK_OBJECTS);
	if (at < pool->lowest)
		pool->lowest = at;
	if (chunk->used != lacking(at))
		return;
	free(chunk);
	pool->chunks[at] = NULL;
	free_table(pool);
}
