/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmap(2) and its like, noted as areas. Each does what the call does and returns that, or a
 * negative errno.
 *
 * The books stay open during the call where it concerns them: whoever is given the same addresses
 * next notes that after it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct mapping_call {
	void *(*real)(
		void *address, size_t size, int protection, int flags, int fd, int64_t offset);
	void *address;
	size_t size;
	int protection, flags, fd;
	int64_t offset;
};

/* NULL and errno where it fails. */
void *mappings_map(const struct mapping_call *call);
int mappings_unmap(void *address, size_t size);
void *mappings_remap(void *address, size_t size, size_t new_size, int flags, void *new_address);
int mappings_protect(void *address, size_t size, int protection);
