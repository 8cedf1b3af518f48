/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's constants and layouts that Debian 12's headers are too old for.
 *
 * Names are the kernel's own. Each is defined only where <linux/kvm.h> and its like lack it, so
 * that newer headers win. The first kernel that has it stands beside each. Reference:
 * Documentation/virt/kvm/api.rst.
 */
#pragma once

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Linux 6.8 */
#ifndef KVM_SET_USER_MEMORY_REGION2
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif
#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD (1UL << 2)
#endif
#ifndef KVM_CREATE_GUEST_MEMFD
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif
#ifndef KVM_SET_MEMORY_ATTRIBUTES
struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};
#define KVM_SET_MEMORY_ATTRIBUTES    _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)
#endif
/* After Linux 7.3: of a guest_memfd, not of a VM. Its capability's number is in no release yet. */
#ifndef KVM_SET_MEMORY_ATTRIBUTES2
struct kvm_memory_attributes2 {
	__u64 offset;
	__u64 size;
	__u64 attributes;
	__u64 flags;
	__u64 error_offset;
	__u64 reserved[11];
};
#define KVM_SET_MEMORY_ATTRIBUTES2 _IOWR(KVMIO, 0xd2, struct kvm_memory_attributes2)
#endif
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif
#ifndef KVM_MEMORY_EXIT_FLAG_PRIVATE
#define KVM_MEMORY_EXIT_FLAG_PRIVATE (1ULL << 3)
#endif
#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2      231
#define KVM_CAP_MEMORY_FAULT_INFO 232
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#define KVM_CAP_GUEST_MEMFD       234
#define KVM_CAP_VM_TYPES          235
#endif

/* Linux 5.18 */
#ifndef KVM_CAP_DISABLE_QUIRKS2
#define KVM_CAP_DISABLE_QUIRKS2 213
#endif
/* Linux 6.12 */
#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL (1 << 7)
#endif

/* Linux 6.11 */
#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif

/* Linux 6.18 */
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP (1ULL << 0)
#endif
#ifndef GUEST_MEMFD_FLAG_INIT_SHARED
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS 244
#endif

/* Linux 5.19: once the supervisor has received a trapped call, only a fatal signal ends its
 * wait. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* Linux 6.6: a trapped call wakes the supervisor on the caller's processor. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* Linux 6.3 */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* Linux 6.5: counts of a file's cached pages, exact for a guest_memfd too. */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
struct gmem_cachestat_range {
	uint64_t off;
	uint64_t len;
};
struct gmem_cachestat {
	uint64_t nr_cache;
	uint64_t nr_dirty;
	uint64_t nr_writeback;
	uint64_t nr_evicted;
	uint64_t nr_recently_evicted;
};

/* Linux 6.5: the pidfd of the process that connected. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* Linux 6.9: statfs(2) f_type of a pidfd, whose inode is its process's alone. */
#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446
#endif

/* Linux 6.9: a pidfd of a thread, and not of its process. */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

/* Linux 6.10 */
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

/* Linux 6.7: which pages of a range of one's own memory there are. */
#ifndef PAGEMAP_SCAN
#define PAGE_IS_PRESENT (1ull << 3)
#define PAGE_IS_SWAPPED (1ull << 4)
struct page_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};
struct pm_scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

/* <linux/pidfd.h>, Linux 6.13: who a pidfd is of. ESRCH where it has ended and was waited for, or
 * is in no PID namespace of the caller's. */
struct gmem_pidfd_info {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t pid;
	uint32_t rest[11];
};

#define GMEM_PIDFD_INFO_PID 1
#define GMEM_PIDFD_GET_INFO _IOWR(0xff, 11, struct gmem_pidfd_info)

_Static_assert(sizeof(struct gmem_pidfd_info) == 64, "kernel ABI");

/* statfs(2) f_type of a guest_memfd, where it is no anonymous inode any more (after Linux 6.18). */
#define GMEM_GUEST_MEMFD_MAGIC 0x474d454d

_Static_assert(KVM_SET_USER_MEMORY_REGION2 == 0x40a0ae49, "kernel ABI");
_Static_assert(KVM_CREATE_GUEST_MEMFD == 0xc040aed4, "kernel ABI");
_Static_assert(KVM_SET_MEMORY_ATTRIBUTES == 0x4020aed2, "kernel ABI");
_Static_assert(KVM_SET_MEMORY_ATTRIBUTES2 == 0xc080aed2, "kernel ABI");
