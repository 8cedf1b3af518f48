/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memfds that VMMs have their guests' RAM in: when one gets its size, a guest_memfd of gmemd's
 * takes its place, under the very number that the VMM knows, so that whoever it hands that to has
 * the guest's memory, too. What a guest_memfd can't do that a memfd can is answered for it. One of
 * huge pages is replaced by one of gmemd's, for there are no guest_memfds of those.
 *
 * Which they are is known by their names alone: others have other uses. One that the VMM then
 * maps privately is a memfd as before. Functions return what the call does, or a negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/shim/files.h"

/* A new memfd of the VMM's. */
void memfds_note(int fd, const char *name, unsigned flags);

/* With the books open, which may be closed in between. -EAGAIN: libc is to do it. */
int memfds_resize(int fd, uint64_t size);

/* With the books open: the RAM takes the place of that file, whose number fd is still to be. */
int memfds_become(int fd, struct file *file, struct ram *ram);

/* With the books open, of one that has become guest memory. */
int memfds_seal(struct file *file, unsigned seals);
int memfds_allocate(const struct file *file, int64_t offset, int64_t size);
int memfds_punch(const struct file *file, int mode, int64_t offset, int64_t size);
/* It is a memfd again, with the size and the seals that it had. */
int memfds_give_up(int fd);
