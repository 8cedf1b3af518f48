/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmem-run --shim: a VMM that knows nothing of gmemd. It is started with a library preloaded, which
 * opens its VM when it opens /dev/kvm: see client/shim/calls.c.
 */
#pragma once

#include <stddef.h>

struct gmem;
struct gmem_vm_options;

/* Where the library is: beside this program, or where it is installed. -ENOENT, -EINVAL where its
 * path can't be in LD_PRELOAD. */
int shim_find(char *ret, size_t size);

/*
 * The environment of the VMM: what the library is to open, and nothing that another gmem-run may
 * have left; LD_PRELOAD keeps what it has. No right can be gained by execve(2) from now on: it
 * would make the loader leave the library out. 0 or a negative errno.
 */
int shim_prepare(const char *library, const char *socket, const struct gmem_vm_options *options,
	unsigned timeout);
/* The same for a process that opens no VM with gmemd, and has that device for /dev/kvm. */
int shim_prepare_probe(const char *library, int kvm_fd);
