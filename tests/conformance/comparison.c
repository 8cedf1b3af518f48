/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two subjects side by side. See comparison.h.
 */
#include "tests/conformance/comparison.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static bool differ(
	struct comparison *comparison, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(comparison->difference, sizeof comparison->difference, format, arguments);
	va_end(arguments);
	return true;
}

/* How many pages each memory has. */
static bool counts_differ(struct comparison *comparison)
{
	for (unsigned memory = 0; memory < CALL_MEMORIES; memory++) {
		int64_t model = subject_resident(comparison->model, memory, 0, 0);
		int64_t other = subject_resident(comparison->other, memory, 0, 0);

		if (model != other)
			return differ(comparison, "memory %u has %lld pages, model %lld", memory,
				(long long)other, (long long)model);
	}
	return false;
}

/* Copies what the host sees of a page that is allocated; -errno where it may not. */
static int page_of(struct subject *subject, unsigned memory, uint64_t offset, uint8_t *ret_bytes)
{
	int fd = subject->operations->fd(subject, memory);
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (page == MAP_FAILED)
		return -1;
	memcpy(ret_bytes, page, PAGE);
	munmap(page, PAGE);
	return 0;
}

/* Touches no page that is not there on both. */
static bool page_differs(
	struct comparison *comparison, unsigned memory, uint64_t offset, bool is_readable)
{
	static uint8_t model[PAGE], other[PAGE];
	int64_t model_has = subject_resident(comparison->model, memory, offset, PAGE);
	int64_t other_has = subject_resident(comparison->other, memory, offset, PAGE);

	if (model_has != other_has)
		return differ(comparison, "memory %u at %#llx: allocated %lld, model %lld", memory,
			(unsigned long long)offset, (long long)other_has, (long long)model_has);
	if (model_has != 1 || !is_readable)
		return false;
	if (page_of(comparison->model, memory, offset, model) < 0 ||
		page_of(comparison->other, memory, offset, other) < 0)
		return differ(comparison, "memory %u can't be mapped", memory);
	if (memcmp(model, other, PAGE) != 0)
		return differ(comparison, "memory %u: bytes of the page at %#llx", memory,
			(unsigned long long)offset);
	return false;
}

/* Which pages, and where the host may read them, what is in them. */
static bool pages_differ(struct comparison *comparison, const uint64_t *flags)
{
	const uint64_t readable = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	for (unsigned memory = 0; memory < CALL_MEMORIES; memory++) {
		if (subject_resident(comparison->model, memory, 0, 0) <= 0)
			continue;
		for (uint64_t page = 0; page < 18; page++) {
			if (page_differs(
				    comparison, memory, page * PAGE, flags[memory] == readable))
				return true;
		}
	}
	return false;
}

static bool arenas_differ(struct comparison *comparison)
{
	for (unsigned vm = 0; vm < SUBJECT_VMS; vm++) {
		const uint8_t *model = comparison->model->arenas[vm];
		const uint8_t *other = comparison->other->arenas[vm];

		if (model && other && memcmp(model, other, CALL_ARENA_PAGES * PAGE) != 0)
			return differ(comparison, "bytes at the userspace addresses of vm %u", vm);
	}
	return false;
}

/* The flags of the memory that a number is, which only the calls know. */
static void follow_flags(const struct call *call, int result, uint64_t *flags)
{
	if (result == 0 && call->kind == CALL_CREATE)
		flags[call->memory] = call->flags;
	if (result == 0 && call->kind == CALL_DUPLICATE)
		flags[call->other] = flags[call->memory];
}

static bool call_differs(struct comparison *comparison, const struct call *call, uint64_t *flags)
{
	uint8_t model_byte, other_byte;
	int model = call_make(comparison->model, call, &model_byte);
	int other = call_make(comparison->other, call, &other_byte);

	if (model != other)
		return differ(comparison, "result %d (%s), model %d (%s)", other,
			other < 0 ? strerror(-other) : "-", model,
			model < 0 ? strerror(-model) : "-");
	comparison->calls[call->kind]++;
	comparison->succeeded[call->kind] += model == 0;
	if (model_byte != other_byte)
		return differ(comparison, "byte %#x, model %#x", other_byte, model_byte);
	follow_flags(call, model, flags);
	if (counts_differ(comparison))
		return true;
	if (call->kind == CALL_FALLOCATE || call->kind == CALL_HOST || call->kind == CALL_GUEST)
		return pages_differ(comparison, flags) || arenas_differ(comparison);
	return false;
}

size_t comparison_run(struct comparison *comparison, const struct call *calls, size_t count)
{
	uint64_t flags[CALL_MEMORIES] = {0};

	if (subject_reset(comparison->model) < 0 || subject_reset(comparison->other) < 0) {
		printf("Bail out! no new VM\n");
		exit(EXIT_FAILURE);
	}
	for (size_t i = 0; i < count; i++) {
		if (call_differs(comparison, &calls[i], flags))
			return i + 1;
	}
	return 0;
}

/* Whether the sequence differs without some of it; then that is gone and *count is what stays. */
static bool leave_out(struct comparison *comparison, struct call *calls, size_t *count,
	size_t first, size_t length)
{
	struct call *shorter = malloc(*count * sizeof *shorter);
	size_t rest = *count - first - length, differs;

	if (!shorter)
		abort();
	memcpy(shorter, calls, first * sizeof *calls);
	memcpy(shorter + first, calls + first + length, rest * sizeof *calls);
	differs = comparison_run(comparison, shorter, first + rest);
	if (differs > 0) {
		memcpy(calls, shorter, differs * sizeof *calls);
		*count = differs;
	}
	free(shorter);
	return differs > 0;
}

/* Leaves out parts of a length. Whether any could be. */
static bool leave_out_parts(
	struct comparison *comparison, struct call *calls, size_t *count, size_t length)
{
	bool any = false;
	size_t first = 0;

	while (first + length <= *count) {
		if (leave_out(comparison, calls, count, first, length))
			any = true;
		else
			first += length;
	}
	return any;
}

size_t comparison_shrink(struct comparison *comparison, struct call *calls, size_t count)
{
	for (size_t length = count / 2; length > 0; length /= 2)
		leave_out_parts(comparison, calls, &count, length);
	while (leave_out_parts(comparison, calls, &count, 1))
		;
	return count;
}
