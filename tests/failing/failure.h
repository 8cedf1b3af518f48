/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which call of a program is to fail: shared memory between a test and what is in or around the
 * program, so that no call of the program's own is needed to say it.
 *
 * FAILURE_FILE in the environment is its path. The test writes nth last. Nothing fails before the
 * program is loaded, which it has no part in.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum failure_kind { FAILURE_ALLOCATION, FAILURE_CALL };

#define FAILURE_NAME_SIZE 16

struct failure {
	uint32_t nth;     /* the one that fails, from 1; 0: none */
	uint32_t count;   /* since then */
	uint32_t failed;  /* whether it has */
	uint32_t number;  /* of a system call: which has failed */
	int64_t live;     /* allocations that are not freed */
	uint32_t process; /* a pid, once it is loaded */
	uint32_t kind;
	/* Of system calls: */
	uint32_t call;                   /* those of that number - 1; 0: all */
	uint32_t file;                   /* those whose first argument is that - 1; 0: all */
	uint32_t error;                  /* 0: what each fails with */
	uint32_t lasting;                /* all from the nth on do */
	char program[FAILURE_NAME_SIZE]; /* of what it starts, as /proc has it; "": itself */
};

/* NULL where there is no such file. */
static inline struct failure *failure_map(void)
{
	const char *path = getenv("FAILURE_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = MAP_FAILED;

	if (fd >= 0) {
		mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	return mapped == MAP_FAILED ? NULL : mapped;
}

/* NULL in another program, too. */
static inline struct failure *failure_map_of_program(void)
{
	const char *program = getenv("FAILURE_PROGRAM");

	return program && strcmp(program, program_invocation_short_name) == 0 ? failure_map()
									      : NULL;
}

/* Whether this one, of that kind, is to fail. */
static inline int failure_is_due(struct failure *failure, enum failure_kind kind)
{
	uint32_t nth = __atomic_load_n(&failure->nth, __ATOMIC_SEQ_CST), count;

	if (nth == 0 || failure->kind != kind)
		return 0;
	count = __atomic_add_fetch(&failure->count, 1, __ATOMIC_SEQ_CST);
	if (count < nth || (count > nth && !failure->lasting))
		return 0;
	__atomic_store_n(&failure->failed, 1, __ATOMIC_SEQ_CST);
	return 1;
}
