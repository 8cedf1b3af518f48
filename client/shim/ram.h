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
	uint64_t page_size; /* of huge pages; 0: it is a guest_memfd */
	int node;           /* as gmemd was told */
	char name[64];
	bool anonymous; /* in the place of what was: then what is dropped is zero, and gone */
	unsigned parts; /* mappings, files and slots that have it: with the books open */
};

/* What is to be made. */
struct ram_wish {
	const char *kind;
	uint64_t size;
	uint64_t page_size; /* of huge pages; 0: a guest_memfd */
	int node;           /* that its pages are to come from, or POLICY_ANY_NODE */
	bool anonymous;     /* see above */
};

/*
 * Has gmemd make one, named after its kind and a number. What it refuses, or can't do within the
 * time where it need not be waited for, is said on stderr, and is -ENOMEM. The first ram_join() is
 * the caller's to do. To be called without the books.
 */
int ram_create(const struct ram_wish *wish, struct ram **ret);

/* Pages of it that the VMM has freed by itself are to be there again whenever the guest wants them:
 * huge ones that are not reserved would be no more, where others have taken all. */
void ram_freed(const struct ram *ram, uint64_t offset, uint64_t size);

/* The rest with the books open. The last to leave it has it closed. */
void ram_join(struct ram *ram);
void ram_leave(struct ram *ram);
