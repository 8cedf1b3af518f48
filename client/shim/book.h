/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose this library's books are: of the VMM's files (files.h), of its mappings (areas.h) and of
 * the guest's RAM (ram.h). One lock is for all of them, and a VMM that daemonises takes them along.
 *
 * Once a process has opened its VM they are that process's. In its children, forked or between
 * vfork() and execve(), every call is libc's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* False where they are another process's: then they are not locked. */
bool book_open(void);
void book_close(void);
/* They are this process's from now on. */
void book_claim(void);
/* Whether this process has claimed them. */
bool book_is_claimed(void);

/* Memory of zeroes; the VMM ends where there is none, for what is not noted is guest memory. */
void *book_allocate(size_t size);
