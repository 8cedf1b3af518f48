/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What both subjects have in common. See subject.h.
 */
#include "tests/conformance/subject.h"

#include <errno.h>
#include <unistd.h>

struct subject *subject_free(struct subject *subject)
{
	if (subject)
		subject->operations->free(subject);
	return NULL;
}

int subject_reset(struct subject *subject)
{
	subject->operations->let_go(subject);
	for (unsigned memory = 0; memory < SUBJECT_MEMORIES; memory++)
		subject->operations->close(subject, memory);
	for (unsigned vm = 0; vm < SUBJECT_VMS; vm++)
		subject->operations->vm_free(subject, vm);
	return subject->operations->vm_new(subject, 0);
}

int subject_arena_new(struct subject *subject, unsigned vm)
{
	void *arena = mmap(NULL, SUBJECT_ARENA, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (arena == MAP_FAILED)
		return -errno;
	subject->arenas[vm] = arena;
	return 0;
}

void subject_arena_free(struct subject *subject, unsigned vm)
{
	if (subject->arenas[vm])
		munmap(subject->arenas[vm], SUBJECT_ARENA);
	subject->arenas[vm] = NULL;
}

int subject_hold(struct subject *subject, unsigned memory, int fd, size_t size)
{
	void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapping == MAP_FAILED)
		return -errno;
	subject->held[memory] = mapping;
	subject->held_size[memory] = size;
	return 0;
}

void subject_let_go(struct subject *subject)
{
	for (unsigned memory = 0; memory < SUBJECT_MEMORIES; memory++) {
		if (subject->held[memory])
			munmap(subject->held[memory], subject->held_size[memory]);
		subject->held[memory] = NULL;
	}
}

int64_t subject_resident(struct subject *subject, unsigned memory, uint64_t offset, uint64_t length)
{
	struct gmem_cachestat_range range = {.off = offset, .len = length};
	struct gmem_cachestat counts;
	int fd = subject->operations->fd(subject, memory);

	if (fd < 0)
		return fd;
	if (syscall(__NR_cachestat, fd, &range, &counts, 0) < 0)
		return -errno;
	return (int64_t)counts.nr_cache;
}
