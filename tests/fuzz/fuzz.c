/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fuzzers share. See fuzz.h.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint8_t fuzz_byte(struct fuzz_input *input)
{
	uint8_t byte;

	fuzz_fill(input, &byte, 1);
	return byte;
}

uint64_t fuzz_number(struct fuzz_input *input)
{
	uint64_t number;

	fuzz_fill(input, &number, sizeof number);
	return number;
}

size_t fuzz_fill(struct fuzz_input *input, void *ret, size_t size)
{
	size_t length = size < input->left ? size : input->left;

	memset(ret, 0, size);
	if (length > 0)
		memcpy(ret, input->next, length);
	input->next += length;
	input->left -= length;
	return length;
}

char *fuzz_text(struct fuzz_input *input)
{
	size_t length = strnlen((const char *)input->next, input->left);
	char *text = malloc(length + 1);

	FUZZ_CHECK(text);
	fuzz_fill(input, text, length);
	text[length] = '\0';
	if (input->left > 0)
		fuzz_byte(input);
	return text;
}

int fuzz_free_fd(void)
{
	int fd = dup(STDERR_FILENO);

	FUZZ_CHECK(fd >= 0);
	close(fd);
	return fd;
}

int fuzz_file(const void *bytes, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
	return fd;
}
