/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mailbox's mapping in a VMM: making it permanent, and verifying from outside that it is.
 *
 * mseal(2) (Linux 6.10) makes a mapping permanent in its address space; /proc/PID/smaps shows it as
 * "sl". Since the kernel ties a VM to the address space that made it, a mapping that was verified
 * when the VM was made holds as long as the VM does.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "kernel/host/memory_file.h"

/*
 * In the VMM: maps [0, length) of the file at address, read-only and shared, and seals it. For
 * good: it can't be undone. -EEXIST where something is mapped there, -ENOSYS where the kernel has
 * no mseal.
 */
int mapping_make_permanent(int fd, uint64_t address, uint64_t length);

/* The same without the seal, for a VMM that does without a gate: to be undone with munmap(2). */
int mapping_make(int fd, uint64_t address, uint64_t length);

struct mapping_expected {
	uint64_t address;
	uint64_t length;
	struct file_identity file;
};

/*
 * Whether exactly [address, address + length) of the process is one mapping of that file from its
 * start: read-only, never to become writable, shared, sealed. 0 where it is; -EPERM where not, with
 * what is wrong in *ret_reason (a constant); else why that can't be told. Can take as long as the
 * process's own mapping calls take.
 */
int mapping_verify(pid_t process, const struct mapping_expected *expected, const char **ret_reason);

/* The same by what was read of a process's smaps, up to the mailbox. */
int mapping_verify_in(
	FILE *smaps, const struct mapping_expected *expected, const char **ret_reason);
