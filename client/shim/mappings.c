/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Noting what is mapped. See mappings.h.
 */
#include "client/shim/mappings.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <time.h>

#include "client/shim/areas.h"
#include "client/shim/book.h"
#include "client/shim/files.h"
#include "client/shim/memfds.h"
#include "client/shim/ram.h"
#include "client/shim/real.h"

#define GIVEN_UP_TRIES    500
#define GIVEN_UP_PAUSE_NS 10000000

#define PLACED (MAP_FIXED | MAP_FIXED_NOREPLACE)

static void *map_really(const struct mapping_call *call)
{
	return call->real(
		call->address, call->size, call->protection, call->flags, call->fd, call->offset);
}

static uint64_t whole_pages(uint64_t size)
{
	return (size + 4095) & ~(uint64_t)4095;
}

/* It might be a guest's RAM, reserved or in use. */
static bool is_anonymous(const struct mapping_call *call)
{
	return (call->flags & MAP_ANONYMOUS) && (call->flags & MAP_PRIVATE) &&
	       !(call->flags & (MAP_HUGETLB | MAP_GROWSDOWN | MAP_STACK)) &&
	       call->size >= AREA_SIZE_MIN;
}

static bool is_of_interest(const struct mapping_call *call)
{
	return (call->flags & PLACED) || is_anonymous(call) ||
	       (!(call->flags & MAP_ANONYMOUS) && files_has(call->fd));
}

static struct ram *ram_of(const struct mapping_call *call)
{
	struct file *file = call->flags & MAP_ANONYMOUS ? NULL : files_get(call->fd);

	return file ? file->ram : NULL;
}

static void note(const struct mapping_call *call, void *mapped)
{
	uint64_t start = (uintptr_t)mapped, size = whole_pages(call->size);
	struct ram *ram = ram_of(call);

	if (ram || is_anonymous(call))
		areas_add(start, size, call->protection, ram, ram ? (uint64_t)call->offset : 0);
	else
		areas_remove(start, size);
}

/* Huge pages that gmemd had reserved for what it is given up for are there again when gmemd has
 * closed that, which takes some milliseconds. */
static void *map_given_up(const struct mapping_call *call)
{
	const struct timespec pause = {.tv_nsec = GIVEN_UP_PAUSE_NS};
	void *mapped = map_really(call);

	for (unsigned i = 0; i < GIVEN_UP_TRIES && mapped == MAP_FAILED && errno == ENOMEM; i++) {
		nanosleep(&pause, NULL);
		mapped = map_really(call);
	}
	return mapped;
}

/* A private copy of RAM is no RAM of gmemd's. */
static void *map_private(const struct mapping_call *call)
{
	bool huge = ram_of(call)->page_size > 0;
	int r = memfds_give_up(call->fd);

	if (r == 0)
		return huge ? map_given_up(call) : map_really(call);
	errno = -r;
	return MAP_FAILED;
}

static void *map_in_books(const struct mapping_call *call)
{
	bool private = ram_of(call) && (call->flags & MAP_TYPE) == MAP_PRIVATE;
	void *mapped = private ? map_private(call) : map_really(call);

	if (mapped != MAP_FAILED)
		note(call, mapped);
	return mapped;
}

void *mappings_map(const struct mapping_call *call)
{
	void *mapped;

	if (!is_of_interest(call) || !book_open())
		return map_really(call);
	mapped = map_in_books(call);
	book_close();
	return mapped;
}

int mappings_unmap(void *address, size_t size)
{
	uint64_t start = (uintptr_t)address;
	int r;

	if (!book_open())
		return real_calls()->munmap(address, size);
	if (!areas_meet(start, whole_pages(size))) {
		book_close();
		return real_calls()->munmap(address, size);
	}
	r = real_calls()->munmap(address, size);
	if (r == 0)
		areas_remove(start, whole_pages(size));
	book_close();
	return r;
}

static void note_moved(uint64_t from, uint64_t size, uint64_t to, uint64_t new_size)
{
	struct area *found = areas_from(from), area;

	if (!found || found->start > from) {
		areas_remove(to, new_size);
		return;
	}
	area = *found;
	if (area.ram)
		ram_join(area.ram);
	areas_remove(from, size);
	areas_add(to, new_size, area.protection, area.ram, area.offset + (from - area.start));
	if (area.ram)
		ram_leave(area.ram);
}

void *mappings_remap(void *address, size_t size, size_t new_size, int flags, void *new_address)
{
	void *moved;

	if (!book_open())
		return real_calls()->mremap(address, size, new_size, flags, new_address);
	moved = real_calls()->mremap(address, size, new_size, flags, new_address);
	if (moved != MAP_FAILED && (areas_meet((uintptr_t)address, whole_pages(size)) ||
					   areas_meet((uintptr_t)moved, whole_pages(new_size))))
		note_moved((uintptr_t)address, whole_pages(size), (uintptr_t)moved,
			whole_pages(new_size));
	book_close();
	return moved;
}

int mappings_protect(void *address, size_t size, int protection)
{
	int r, error;

	r = real_calls()->mprotect(address, size, protection);
	error = errno;
	if (r == 0 && book_open()) {
		areas_protect((uintptr_t)address, whole_pages(size), protection);
		book_close();
	}
	errno = error;
	return r;
}
