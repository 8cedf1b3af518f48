/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fuzzers share. Each is one file that defines LLVMFuzzerTestOneInput(): libFuzzer's where
 * it is built with -Dfuzzers=true, else replay.c's, which tries the seeds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What must be so whatever the input is. */
#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* What is left of an input. At its end all are zeroes and empty texts. */
struct fuzz_input {
	const uint8_t *next;
	size_t left;
};

uint8_t fuzz_byte(struct fuzz_input *input);
/* Of 8 bytes. */
uint64_t fuzz_number(struct fuzz_input *input);
/* Fills as much of it as there is; returns how much that is. The rest is zeroes. */
size_t fuzz_fill(struct fuzz_input *input, void *ret, size_t size);
/* Up to its NUL or the end; to be freed. */
char *fuzz_text(struct fuzz_input *input);

/* The lowest number that is free: the same again where nothing was left open. */
int fuzz_free_fd(void);
/* A file of these bytes, read from its beginning; to be closed. */
int fuzz_file(const void *bytes, size_t size);
