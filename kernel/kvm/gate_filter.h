/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate's seccomp program: which calls of a VMM run, trap to gmemd, or fail.
 *
 *   KVM_CREATE_VM                                      traps
 *   KVM_CREATE_GUEST_MEMFD at a create entry           traps;  elsewhere EPERM
 *   KVM_SET_USER_MEMORY_REGION2 at a slot entry        runs;   elsewhere EPERM
 *   KVM_SET_MEMORY_ATTRIBUTES at an attribute entry    runs;   elsewhere EPERM
 *   KVM_SET_USER_MEMORY_REGION                         EPERM
 *   the same command numbers with another size or
 *   direction (a kernel to come may extend them; the
 *   attribute ioctl of a guest_memfd itself is one)    EPERM
 *   seccomp(2) that asks for a listener                EBUSY, whoever holds the gate's; other
 *                                                      filters are installed
 *   another architecture's calls, x32                  the process is killed
 *   all else                                           runs
 *
 * The kernel takes an ioctl's command as 32 bits and its pointer as 64, so the upper half of the
 * command is ignored here and that of the pointer compared. Written as classic BPF by hand, for
 * libseccomp 2.5 can neither negate a masked comparison nor ask for
 * SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV. Reference:
 * Documentation/userspace-api/seccomp_filter.rst.
 */
#pragma once

#include <linux/filter.h>

#include "kernel/kvm/mailbox.h"

#define GATE_FILTER_LENGTH_MAX 64

struct gate_filter {
	unsigned short length; /* instructions */
	struct sock_filter program[GATE_FILTER_LENGTH_MAX];
};

/*
 * The program for a mailbox's areas. -EINVAL where an area is empty, not whole pages, crosses 4
 * GiB, overlaps another, has a stride that is no power of 2 or longer than a page, or has another
 * command than its place says.
 */
int gate_filter_build(
	const struct mailbox_area areas[static MAILBOX_COMMANDS], struct gate_filter *ret);

/* The program of a closed gate, which has no mailbox: KVM_CREATE_VM runs, and all that would give
 * the VM memory fails. */
void gate_filter_build_closed(struct gate_filter *ret);
