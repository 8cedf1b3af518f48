/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which process this is: not a child that has inherited another's memory, and which of all on this
 * host, in whatever PID namespace.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In a child of fork(), or clone() without CLONE_VM, it is gone. Free with own_process_unmark(). */
struct own_process_mark;
int own_process_mark(struct own_process_mark **ret);
bool own_process_has_mark(const struct own_process_mark *mark);
/* Takes NULL, returns NULL. */
struct own_process_mark *own_process_unmark(struct own_process_mark *mark);

/*
 * A number that no other process of this host has until it is booted anew: the inode of the
 * process's pidfd (Linux 6.9). -EOPNOTSUPP where the kernel has none.
 */
int own_process_number(uint64_t *ret);
/* Says which process it is: by that number, or else by a random one. */
void own_process_tag(char *ret, size_t size);
