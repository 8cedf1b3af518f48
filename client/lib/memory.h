/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's memory.
 */
#pragma once

#include "client/lib/vm.h"

struct gmem_memory {
	LIST_ENTRY(gmem_memory) link; /* while it is to be told of */
	bool noted;
	struct gmem_vm *vm;
	uint64_t id;
	uint64_t size;
	int fd;
	char *name; /* NULL: none */
	uint64_t flags;
};
