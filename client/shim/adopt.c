/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adopting anonymous memory. See adopt.h.
 */
#include "client/shim/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "client/shim/advice.h"
#include "client/shim/areas.h"
#include "client/shim/book.h"
#include "client/shim/policy.h"
#include "client/shim/ram.h"
#include "client/shim/real.h"
#include "client/shim/say.h"
#include "client/shim/vcpus.h"
#include "kernel/base/uapi.h"

/* What is known of an area while the books are closed. */
struct candidate {
	uint64_t start, size;
	bool allocated; /* there are pages, of zeroes */
};

/* Whether there are pages from there on, and how far the first of them reach. */
static int scan_pages(int pagemap, uint64_t start, uint64_t end, struct page_region *ret)
{
	struct pm_scan_arg scan = {.size = sizeof scan,
		.start = start,
		.end = end,
		.vec = (uintptr_t)ret,
		.vec_len = 1,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED};

	return real_calls()->ioctl(pagemap, PAGEMAP_SCAN, &scan);
}

static bool is_zero(const char *bytes, uint64_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static bool scan(int pagemap, struct candidate *candidate)
{
	const uint64_t end = candidate->start + candidate->size;
	struct page_region pages = {.end = candidate->start};
	int n;

	while ((n = scan_pages(pagemap, pages.end, end, &pages)) > 0) {
		candidate->allocated = true;
		if (!is_zero((const char *)(uintptr_t)pages.start, pages.end - pages.start))
			return false;
		if (pages.end >= end)
			return true;
	}
	return n == 0;
}

/* Whether nothing has been written there. */
static bool is_untouched(struct candidate *candidate)
{
	int pagemap = real_calls()->open64("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool untouched = pagemap >= 0 && scan(pagemap, candidate);

	if (pagemap >= 0)
		real_calls()->close(pagemap);
	return untouched;
}

/* The area that has the whole range, if it is anonymous. */
static struct area *find(uint64_t start, uint64_t size)
{
	struct area *area = areas_from(start);

	if (!area || area->start > start || area->end < start + size || area->ram)
		return NULL;
	return area->protection == (PROT_READ | PROT_WRITE) ? area : NULL;
}

static bool look_for(uint64_t start, uint64_t size, struct candidate *ret)
{
	struct area *area;

	if (!book_open())
		return false;
	area = find(start, size);
	if (area)
		*ret = (struct candidate){.start = area->start, .size = area->end - area->start};
	book_close();
	return area;
}

/* What was said of the memory before is to be true of what takes its place. The policy does
 * something from Linux 6.19 on. */
static void say_again(void *address, uint64_t size, unsigned advice, const struct policy *policy)
{
	advice_repeat(address, size, advice);
	policy_set(address, size, policy);
}

/* With the books open. False where the area is not what it was. */
static bool replace(const struct candidate *candidate, struct ram *ram)
{
	void *address = (void *)(uintptr_t)candidate->start;
	struct area *area = find(candidate->start, candidate->size);
	struct policy policy;
	unsigned advice;

	if (!area)
		return false;
	policy_read(address, &policy);
	if (real_calls()->mmap64(address, candidate->size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, ram->fd, 0) == MAP_FAILED)
		return false;
	advice = area->advice;
	say_again(address, candidate->size, advice, &policy);
	areas_add(candidate->start, candidate->size, PROT_READ | PROT_WRITE, ram, 0);
	areas_from(candidate->start)->advice = advice;
	return true;
}

static bool take_place(const struct candidate *candidate, struct ram *ram)
{
	bool replaced = false;

	if (!book_open())
		return false;
	ram_join(ram);
	replaced = replace(candidate, ram);
	ram_leave(ram);
	book_close();
	return replaced;
}

static int adopt_candidate(const struct candidate *candidate)
{
	struct ram_wish wish = {.kind = "ram", .size = candidate->size, .anonymous = true};
	struct policy policy;
	struct ram *ram;
	int r;

	policy_read((void *)(uintptr_t)candidate->start, &policy);
	wish.node = policy_node(&policy);
	r = ram_create(&wish, &ram);
	if (r < 0)
		return r;
	if (take_place(candidate, ram) && candidate->allocated)
		real_calls()->madvise(
			(void *)(uintptr_t)candidate->start, candidate->size, MADV_POPULATE_WRITE);
	return 0;
}

int adopt(uint64_t start, uint64_t size)
{
	struct candidate candidate;

	if (vcpus_have_this_thread() || !look_for(start, size, &candidate))
		return 0;
	if (!is_untouched(&candidate)) {
		say("%" PRIu64 " bytes of memory that the VMM has written to before it bound them "
		    "stay its own",
			candidate.size);
		return 0;
	}
	return adopt_candidate(&candidate);
}
