/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is mapped at an address of this process's, in words that who has started the VMM knows.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* As a part of a sentence: what it is, and what to write instead where it is RAM. */
void mapped_name(uint64_t address, char *ret, size_t size);
/* The same of a line of /proc/PID/maps. */
void mapped_name_of(const char *line, char *ret, size_t size);
