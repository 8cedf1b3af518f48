/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privileges: gmemd gives up all capabilities but three, and uses two of these only at moments.
 *
 * CAP_SYS_PTRACE stays, to look into /proc of VMMs of other users, and to be handed on to those who
 * take files of them. CAP_DAC_OVERRIDE stays permitted, and is in effect only while the cgroup of
 * another user's VMM is opened for entering; CAP_LINUX_IMMUTABLE only while a mailbox is closed to
 * all later writers. What else gmemd starts inherits none. gmemd opens /dev/kvm and the runtime
 * directory as its user and groups may, not by capabilities. See capabilities(7).
 */
#pragma once

#include <stdbool.h>

/* A gmemd without them goes on, and says in the log what it then can't do. -EPERM where giving up
 * fails. */
int privileges_give_up(void);

/* Put CAP_DAC_OVERRIDE, CAP_LINUX_IMMUTABLE into effect for the calling thread, where it is
 * permitted. */
void privileges_raise_to_enter(void);
void privileges_raise_to_fix(void);
/* Takes both out of effect again. */
void privileges_lower(void);

/* From now on the calling thread hands CAP_SYS_PTRACE on to a program that it starts, where it has
 * it; or no more. */
void privileges_hand_on_look(bool hand_on);
