/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quirks: what KVM does for old VMMs' sake, and a VM can do without.
 *
 * Reference: Documentation/virt/kvm/api.rst, KVM_CAP_DISABLE_QUIRKS2. What is switched off stays so
 * for as long as the VM is there.
 */
#pragma once

/*
 * KVM_X86_QUIRK_SLOT_ZAP_ALL, Linux 6.12: where a slot of a VM of the default type is deleted, KVM
 * takes down the mappings of all its slots, and the guest faults for each page again. Without it
 * KVM promises no more than that nothing of the deleted slot is reached, and takes down that one's.
 * -EOPNOTSUPP where KVM has no such quirk: then it takes down all. In the process that made the VM.
 */
int quirk_slot_zap_all_off(int vm_fd);
