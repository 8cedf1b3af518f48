/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quirks of KVM's. See quirks.h.
 */
#include "kernel/kvm/quirks.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "kernel/base/uapi.h"

int quirk_slot_zap_all_off(int vm_fd)
{
	const struct kvm_enable_cap off = {
		.cap = KVM_CAP_DISABLE_QUIRKS2, .args = {KVM_X86_QUIRK_SLOT_ZAP_ALL}};
	int quirks = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);

	if (quirks < 0)
		return -errno;
	if (!(quirks & KVM_X86_QUIRK_SLOT_ZAP_ALL))
		return -EOPNOTSUPP;
	return ioctl(vm_fd, KVM_ENABLE_CAP, &off) < 0 ? -errno : 0;
}
