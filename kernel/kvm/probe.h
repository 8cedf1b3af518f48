/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host's kernel offers for guest memory. Probed, never assumed.
 *
 * Functions return 0 or a negative errno and write outputs only on success. Reference:
 * Documentation/virt/kvm/api.rst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VM_TYPES_MAX 32

/* What a VM of one type can do. Asked on a VM of that type, for the answers differ between
 * types. */
struct vm_type_offer {
	bool offered;
	bool guest_memfd;
	uint64_t guest_memfd_flags; /* GUEST_MEMFD_FLAG_* */
	uint64_t memory_attributes; /* KVM_MEMORY_ATTRIBUTE_* */
	/* Its private memory is converted in place, by an ioctl on the guest_memfd
	 * (KVM_SET_MEMORY_ATTRIBUTES2, after Linux 7.3), and the VM has no attributes. Tried, for
	 * types without private memory (SEV, SEV-ES) have no attributes either. */
	bool converts_in_place;
	uint32_t memslots;       /* how many per address space */
	uint32_t address_spaces; /* of guest-physical memory: 2 where SMM has one of its own */
	bool pre_fault_memory;
};

struct host_offer {
	char kernel_release[65];
	uint64_t page_size;    /* bytes */
	uint64_t memory_total; /* bytes: MemTotal */
	bool kvm;
	uint32_t vm_type_mask; /* bit N: KVM_CREATE_VM takes type N */
	struct vm_type_offer vm_types[VM_TYPES_MAX];
	bool gate;
	const char *gate_missing; /* a constant, what a gate lacks; NULL where there is one */
};

/* kvm_fd: /dev/kvm opened read-write, or -1 for what a host without it offers. Makes and closes a
 * VM of each type: a negative errno where this process may have no more files, or there is no
 * memory. */
int probe_host(int kvm_fd, struct host_offer *ret);

/* What the model offers on this host, in the place of KVM. */
int probe_model(struct host_offer *ret);

/* The name of a VM type ("default", "sw_protected", "snp", …), NULL for one that we know none
 * for. */
const char *vm_type_name(unsigned type);
/* The number of the type with that name, or of a decimal number. -ENOENT where there is none. */
int vm_type_by_name(const char *name, unsigned *ret_type);
