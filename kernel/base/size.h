/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes as people write them.
 */
#pragma once

#include <stdint.h>

/* "4096", "64K", "512M", "2G", "1T": powers of 1024. -EINVAL for anything else, -ERANGE past
 * 2^64. */
int size_parse(const char *text, uint64_t *ret);
