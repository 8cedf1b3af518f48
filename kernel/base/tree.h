/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Red-black trees and lists of libbsd, and a form of its RB_GENERATE_STATIC that compiles with
 * glibc, which lacks the BSDs' __unused.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define RB_GENERATE_LOCAL(name, type, field, compare)                                              \
	RB_GENERATE_INTERNAL(name, type, field, compare, __attribute__((unused)) static)
