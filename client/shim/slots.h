/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memslots, as the VMM sets them by KVM_SET_USER_MEMORY_REGION and as gmemd has them bound.
 *
 * A slot on memory of gmemd's is bound to its guest_memfd, where KVM can do that; else it is a
 * plain one on the VMM's mapping of it: to log what is written, read-only, or of offsets that
 * another slot has already. From one to the other it is exchanged while vCPUs are held. What is the
 * VMM's own memory is bound as that. What KVM would take is taken: a VMM ends where a slot is
 * refused.
 */
#pragma once

struct kvm_userspace_memory_region;

/* As the ioctl: 0, or a negative errno. */
int slots_set(const struct kvm_userspace_memory_region *region);
