/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a program can be run with a library preloaded.
 *
 * The loader leaves LD_PRELOAD out without a word where it is secure, and a static program has no
 * loader: then the VMM would run as if nothing had been asked for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Where execvp(3) finds it. -ENOENT, -EACCES. */
int program_find(const char *name, char *ret, size_t size);

/* Why it can't, as a part of a sentence that says what to do instead; NULL where it can. */
const char *program_obstacle(const char *path);
/* Whether it would have other rights than its user, which no VMM behind a gate gets. */
bool program_is_setuid(const char *path);
