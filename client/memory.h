/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's memory.
 */
#pragma once

#include "client/vm.h"

struct gmem_memory {
	struct gmem_vm *vm;
	uint64_t id;
	uint64_t size;
	int fd;
};
