/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a member to what has it.
 */
#pragma once

#include <stddef.h>

/* The type's object whose member the pointer points at, which must be of the member's type. */
#define CONTAINER_OF(pointer, type, member)                                                        \
	((type *)((char *)(1 ? (pointer) : &((type *)NULL)->member) - offsetof(type, member)))
