/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's RAM that is gmemd's: memories, each as long as the VMM has something of it, a
 * mapping, a number of its file, or a slot.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct gmem_memory;

struct ram {
	struct gmem_memory *memory;
	int fd; /* libgmem's */
	uint64_t size;
	char name[64];
	bool anonymous; /* in the place of what was: then what is dropped is zero, and gone */
	unsigned parts; /* mappings, files and slots that have it: with the books open */
};

/*
 * Has gmemd make one, named after its kind and a number. What it refuses, or can't do within the
 * time, is said on stderr, and is -ENOMEM. The first ram_join() is the caller's to do. To be called
 * without the books.
 */
int ram_create(const char *kind, uint64_t size, bool anonymous, struct ram **ret);

/* The rest with the books open. The last to leave it has it closed. */
void ram_join(struct ram *ram);
void ram_leave(struct ram *ram);
