/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_RUN, and holding all vCPUs out of it: while a slot is exchanged for another of the same
 * guest addresses, a guest that ran would find nothing there.
 *
 * Each thread that runs a vCPU says so before and after, without a lock. Who holds them sets a word
 * that they look at in between, and sends those that are in a signal of this library's own, which
 * ends KVM_RUN with EINTR, as any signal may: the VMM sees that and runs the vCPU again, which then
 * waits here. A signal that comes just before KVM_RUN is lost, so it is sent again until all are
 * out.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* Before there is a vCPU: takes a signal. Once is enough. */
int vcpus_begin(void);

/* As the ioctl: 0, or a negative errno. */
int vcpus_run(int fd, void *argument);
/* Whether the calling thread runs a vCPU when it is not here. */
bool vcpus_have_this_thread(void);

/* By one thread at a time, which may be a vCPU's. */
void vcpus_hold(void);
void vcpus_release(void);

struct kvm_signal_mask;
/* As the ioctl: what a VMM blocks while a vCPU runs must not have this library's signal. */
int vcpus_set_signal_mask(int fd, const struct kvm_signal_mask *mask);
