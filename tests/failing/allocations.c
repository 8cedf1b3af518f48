/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * To be preloaded into FAILURE_PROGRAM: its Nth allocation fails, and what is allocated is counted.
 * See failure.h.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "tests/failing/failure.h"

/* What is asked for before there are the real functions, by dlsym(3). */
static char early[4096];
static size_t early_used;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void (*real_free)(void *);
static struct failure *failure;

static void find_real(void)
{
	static bool finding;

	if (real_malloc || finding)
		return;
	finding = true;
	real_calloc = dlsym(RTLD_NEXT, "calloc");
	real_realloc = dlsym(RTLD_NEXT, "realloc");
	real_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
	real_free = dlsym(RTLD_NEXT, "free");
	real_malloc = dlsym(RTLD_NEXT, "malloc");
	finding = false;
}

__attribute__((constructor)) static void begin(void)
{
	find_real();
	failure = failure_map_of_program();
}

static bool is_early(const void *pointer)
{
	return (const char *)pointer >= early && (const char *)pointer < early + sizeof early;
}

/* Zeroes. */
static void *take_early(size_t size)
{
	void *taken = early + early_used;

	early_used += (size + 15) / 16 * 16;
	if (early_used > sizeof early)
		abort();
	return taken;
}

static bool is_due(void)
{
	if (!failure || !failure_is_due(failure, FAILURE_ALLOCATION))
		return false;
	errno = ENOMEM;
	return true;
}

static void *counted(void *pointer)
{
	if (pointer && failure)
		__atomic_add_fetch(&failure->live, 1, __ATOMIC_SEQ_CST);
	return pointer;
}

void *malloc(size_t size)
{
	find_real();
	if (!real_malloc)
		return take_early(size);
	return is_due() ? NULL : counted(real_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	find_real();
	if (!real_malloc)
		return take_early(count * size);
	return is_due() ? NULL : counted(real_calloc(count, size));
}

void *realloc(void *pointer, size_t size)
{
	find_real();
	if (!pointer)
		return malloc(size);
	return is_due() ? NULL : real_realloc(pointer, size);
}

void *reallocarray(void *pointer, size_t count, size_t size)
{
	if (__builtin_mul_overflow(count, size, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(pointer, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	int r;

	find_real();
	r = is_due() ? ENOMEM : real_posix_memalign(ret, alignment, size);
	if (r == 0)
		counted(*ret);
	return r;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	void *pointer;

	return posix_memalign(&pointer, alignment, size) == 0 ? pointer : NULL;
}

/* json-c 0.16 doesn't look whether it has got a copy of a member's name, and ends the program where
 * it has none: it gets one. */
static bool is_of_json_c(const void *address)
{
	Dl_info info;

	return dladdr(address, &info) && info.dli_fname && strstr(info.dli_fname, "libjson-c");
}

char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy;

	find_real();
	copy = real_malloc && is_of_json_c(__builtin_return_address(0)) ? counted(real_malloc(size))
									: malloc(size);
	return copy ? memcpy(copy, text, size) : NULL;
}

void free(void *pointer)
{
	find_real();
	if (!pointer || is_early(pointer))
		return;
	if (failure)
		__atomic_sub_fetch(&failure->live, 1, __ATOMIC_SEQ_CST);
	real_free(pointer);
}
