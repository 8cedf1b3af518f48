/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privileges: gmemd gives up all capabilities but one.
 *
 * CAP_SYS_PTRACE stays, to read the memory map of VMMs of other users and to look at what fds they
 * make their VMs with. /dev/kvm and the runtime directory are opened by who gmemd is, not by
 * capabilities. See capabilities(7).
 */
#pragma once

/* A gmemd without CAP_SYS_PTRACE goes on, and says in the log what it then can't do. -EPERM where
 * giving up fails. */
int privileges_give_up(void);
