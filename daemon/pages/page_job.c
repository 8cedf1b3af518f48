/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs on pages. See page_job.h.
 */
#include "daemon/pages/page_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/pages/puncher.h"
#include "daemon/puncher/protocol.h"
#include "kernel/host/memory_file.h"

/* What one step takes of a file, some milliseconds' work where all its pages are there. */
static const uint64_t piece[] = {
	[PAGES_COUNT] = 64ull << 20, [PAGES_PUNCH] = 16ull << 20, [PAGES_EMPTY] = 16ull << 20};

/* Huge pages that one step takes: to free one takes microseconds, however large it is. */
#define HUGE_PIECE 64

/* Of ranges in a small job: to count those takes a tenth of a millisecond. */
#define SMALL_RANGES 256

/* A file that somebody else fills again all the while is closed as it is after so many rounds: then
 * the last reference to it is not the page worker's. */
#define ROUNDS_MAX 8

struct page_job *page_job_new(struct owner *owner, size_t room)
{
	struct page_job *job = malloc(sizeof *job + room * sizeof *job->parts);

	if (job)
		*job = (struct page_job){.owner = owner ? owner_ref(owner) : NULL};
	return job;
}

struct page_job *page_job_grow(struct page_job *job, size_t room)
{
	return realloc(job, sizeof *job + room * sizeof *job->parts);
}

void page_job_take_from(struct page_job *job, struct owner *owner)
{
	job->taken_from = owner_ref(owner);
}

/* What is nobody's any more needs nothing reserved. */
static enum punch_kind punch_kind_of(const struct page_file *file)
{
	if (page_file_huge(file) == 0)
		return PUNCH_PAGES;
	return page_file_is_released(file) ? PUNCH_HUGE : PUNCH_HUGE_RESERVED;
}

static struct page_part *add_part(
	struct page_job *job, enum page_job_kind kind, struct page_file *file, size_t count)
{
	struct page_part *part = &job->parts[job->count++];

	*part = (struct page_part){.kind = kind,
		.file = page_file_ref(file),
		.punch = punch_kind_of(file),
		.count = count};
	return part;
}

void page_job_add(struct page_job *job, enum page_job_kind kind, struct page_file *file,
	uint64_t offset, uint64_t size)
{
	add_part(job, kind, file, 1)->one = (struct file_range){offset, size};
}

int page_job_add_ranges(struct page_job *job, enum page_job_kind kind, struct page_file *file,
	const struct file_range *ranges, size_t count)
{
	struct file_range *copy = malloc(count * sizeof *copy);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, ranges, count * sizeof *copy);
	add_part(job, kind, file, count)->many = copy;
	return 0;
}

static void page_job_clear(struct page_job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		page_file_unref(job->parts[i].file);
		free(job->parts[i].many);
	}
	owner_unref(job->taken_from);
	owner_unref(job->owner);
}

void page_job_renew(struct page_job *job, struct owner *owner)
{
	page_job_clear(job);
	*job = (struct page_job){.owner = owner ? owner_ref(owner) : NULL};
}

struct page_job *page_job_free(struct page_job *job)
{
	if (!job)
		return NULL;
	page_job_clear(job);
	free(job);
	return NULL;
}

uint64_t page_job_released(const struct page_job *job)
{
	uint64_t released = 0;

	for (size_t i = 0; i < job->count; i++)
		released += job->parts[i].released;
	return released;
}

uint64_t page_job_left(const struct page_job *job, const struct page_file *file)
{
	for (size_t i = 0; i < job->count; i++) {
		if (job->parts[i].file == file)
			return job->parts[i].left;
	}
	return 0;
}

static const struct file_range *range_of(const struct page_part *part, size_t index)
{
	return part->many ? &part->many[index] : &part->one;
}

static bool is_small(const struct page_job *job)
{
	uint64_t bytes = 0;
	size_t ranges = 0;

	for (size_t i = 0; i < job->count; i++) {
		const struct page_part *part = &job->parts[i];

		ranges += part->count;
		if (ranges > SMALL_RANGES)
			return false;
		for (size_t j = 0; j < part->count; j++) {
			if (range_of(part, j)->size > PAGES_SMALL - bytes)
				return false;
			bytes += range_of(part, j)->size;
		}
	}
	return true;
}

/* Whether anything is to be given back. */
static bool punches(const struct page_part *part)
{
	uint64_t bytes = 0;

	for (size_t i = 0; part->kind != PAGES_COUNT && bytes == 0 && i < part->count; i++) {
		const struct file_range *range = range_of(part, i);

		memory_file_resident_range(
			page_file_fd(part->file), range->offset, range->size, &bytes);
	}
	return bytes > 0;
}

bool page_job_is_for_loop(const struct page_job *job)
{
	if (!is_small(job))
		return false;
	for (size_t i = 0; i < job->count; i++) {
		if (punches(&job->parts[i]))
			return false;
	}
	return true;
}

bool page_job_is_done(const struct page_job *job)
{
	return job->part == job->count;
}

/* A file of huge pages is counted as a whole, and in no time. */
static uint64_t piece_of(const struct page_part *part)
{
	if (part->punch == PUNCH_PAGES)
		return piece[part->kind];
	return part->kind == PAGES_COUNT ? UINT64_MAX : HUGE_PIECE * page_file_huge(part->file);
}

/* What comes next of the part, up to a step's work. */
static size_t next_ranges(struct page_job *job, struct punch_range *ret)
{
	const struct page_part *part = &job->parts[job->part];
	uint64_t left = piece_of(part);
	size_t count = 0;

	while (job->range < part->count && left > 0 && count < PUNCHER_RANGES_MAX) {
		const struct file_range *range = range_of(part, job->range);
		uint64_t size = range->size - job->offset;

		if (size > left)
			size = left;
		ret[count++] = (struct punch_range){range->offset + job->offset, size};
		left -= size;
		job->offset += size;
		if (job->offset == range->size) {
			job->offset = 0;
			job->range++;
		}
	}
	return count;
}

static uint64_t count_pages(int fd, const struct punch_range *ranges, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = 0;

		memory_file_resident_range(fd, ranges[i].offset, ranges[i].size, &bytes);
		sum += bytes;
	}
	return sum;
}

static void work(struct page_job *job, struct puncher *puncher)
{
	struct page_part *part = &job->parts[job->part];
	struct punch_range ranges[PUNCHER_RANGES_MAX];
	struct punched punched = {.resident = 0};
	size_t count = next_ranges(job, ranges);
	int fd = page_file_fd(part->file);

	if (part->kind != PAGES_COUNT && puncher)
		puncher_punch(puncher, fd, part->punch, ranges, count, &punched);
	else
		punched.resident = punched.left = count_pages(fd, ranges, count);
	part->resident += punched.resident;
	part->released += punched.released;
	if (part->kind != PAGES_COUNT)
		part->left = (part->punch == PUNCH_PAGES ? part->left : 0) + punched.left;
}

/* Once more over the file where it has pages again. False where it is closed. */
static bool close_or_repeat(struct page_job *job, struct page_part *part)
{
	uint64_t bytes = 0;

	memory_file_resident_range(page_file_fd(part->file), 0, part->one.size, &bytes);
	if (bytes > PAGES_SMALL && ++job->rounds < ROUNDS_MAX) {
		job->range = 0;
		return true;
	}
	page_file_close(part->file);
	return false;
}

/* The part is done with. False where that was the job's last. */
static bool end_part(struct page_job *job)
{
	struct page_part *part = &job->parts[job->part];

	if (part->kind == PAGES_EMPTY && close_or_repeat(job, part))
		return true;
	if (part->kind == PAGES_CLOSE)
		page_file_close(part->file);
	job->range = 0;
	return ++job->part < job->count;
}

bool page_job_step(struct page_job *job, struct puncher *puncher)
{
	const struct page_part *part = &job->parts[job->part];

	if (part->kind != PAGES_CLOSE)
		work(job, puncher);
	return (part->kind != PAGES_CLOSE && job->range < part->count) || end_part(job);
}
