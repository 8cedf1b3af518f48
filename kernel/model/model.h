/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model: what KVM does with guest memory, a second time and in plain C.
 *
 * VMs, guest_memfds, memslots, attributes and what a guest sees of them, with the kernel's results
 * and its errnos, in the kernel's order of checks where several apply. It is what gmemd serves on a
 * host without guest_memfd, and what the kernel is compared with, call by call.
 *
 * Addresses, sizes and offsets are bytes; pages are the host's. Functions return 0 or a negative
 * errno, the one that the call has in the kernel where nothing else is said, and write outputs only
 * on success. -ENOMEM, and what the system says to a memfd's creation, can come anywhere. Nothing
 * here is safe for two threads at once on one VM.
 *
 * What it does not have: signals that interrupt an allocation, dirty logs, memory of other NUMA
 * nodes, huge pages. Reference: Documentation/virt/kvm/api.rst (KVM_SET_USER_MEMORY_REGION2,
 * KVM_CREATE_GUEST_MEMFD, KVM_SET_MEMORY_ATTRIBUTES, KVM_EXIT_MEMORY_FAULT) of Linux 6.18.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/base/ranges.h"
#include "kernel/base/uapi.h"

/* What kernels, machines and VM types differ in. */
struct model_rules {
	uint64_t guest_memfd_flags; /* GUEST_MEMFD_FLAG_* that a creation takes */
	uint64_t memory_attributes; /* KVM_MEMORY_ATTRIBUTE_* that a guest frame can have */
	bool attributes_call;       /* the kernel knows KVM_SET_MEMORY_ATTRIBUTES: else ENOTTY */
	uint32_t memslots;          /* per address space */
	uint32_t address_spaces;
	uint64_t guest_phys_end; /* the first guest address that no slot can have */
	uint64_t userspace_end;  /* the first userspace address that no slot can have */
	int overlapping_offsets; /* EINVAL up to Linux 7.1, EEXIST from 7.2 */
	/* Whether guest addresses are held to guest_phys_end before other slots' offsets are looked
	 * at: from Linux 7.3. */
	bool guest_end_first;
	/*
	 * KVM emulates the guest's instructions (real mode without VMX and SVM). The emulator knows
	 * no guest_memfd: it uses every slot's userspace address, and takes one where nothing is
	 * mapped for MMIO.
	 */
	bool emulated_guest;
};

/*
 * The rules of a VM type of Linux 6.18 on x86-64: KVM_X86_DEFAULT_VM (0), whose memory is all
 * shared, or KVM_X86_SW_PROTECTED_VM (1), which has private memory. -EINVAL for others, as
 * KVM_CREATE_VM has it.
 */
int model_rules_of_type(unsigned long type, struct model_rules *ret);
/* Has them be as of another kernel, by the beginning of its release: "7.3". One between those that
 * differ is as the one before. -EINVAL where that is none. */
int model_rules_of_kernel(const char *release, struct model_rules *rules);

/*
 * How the model reaches a slot's userspace address, where shared memory without a guest_memfd of
 * its own lies. Reads or writes size bytes and returns 0, or -EFAULT where any can't be.
 */
struct model_userspace {
	int (*access)(void *context, uint64_t address, void *bytes, size_t size, bool write);
	void *context;
	/* where access is NULL: this one, by process_vm_readv(2); 0 is the caller's */
	pid_t process;
};

/* VMs */

struct model_vm;
struct model_memory;

int model_vm_new(const struct model_rules *rules, const struct model_userspace *userspace,
	struct model_vm **ret);
/* Its slots and attributes are gone then; its memories live on as long as they are held, of no use
 * to any other VM. Takes NULL, returns NULL. */
struct model_vm *model_vm_free(struct model_vm *vm);

const struct model_rules *model_vm_rules(const struct model_vm *vm);
/* The guest addresses that are private. Owned by the VM. */
const struct ranges *model_vm_private_ranges(const struct model_vm *vm);

/* KVM_SET_MEMORY_ATTRIBUTES */
int model_vm_set_attributes(struct model_vm *vm, const struct kvm_memory_attributes *arguments);

/* Memory */

/* KVM_CREATE_GUEST_MEMFD. The caller holds the one reference, as it would hold the one fd. */
int model_memory_new(struct model_vm *vm, const struct kvm_create_guest_memfd *arguments,
	struct model_memory **ret);

/* One more holder: a duplicate of the fd, or a mapping. */
struct model_memory *model_memory_ref(struct model_memory *memory);
/*
 * One holder less; the last empties the slots that it is bound to, which stay, and frees the pages
 * that no fd of the caller's holds. Takes NULL, returns NULL.
 */
struct model_memory *model_memory_unref(struct model_memory *memory);

/*
 * The memfd behind it, owned by the memory: sealed against shrinking and growing, with the pages
 * that the guest_memfd would have, so that it can be handed out and mapped. Unlike a guest_memfd it
 * can always be mapped, and takes every fallocate(2) that a memfd takes.
 */
int model_memory_fd(const struct model_memory *memory);
uint64_t model_memory_size(const struct model_memory *memory);
uint64_t model_memory_flags(const struct model_memory *memory);

/* fallocate(2) */
int model_memory_fallocate(struct model_memory *memory, int mode, int64_t offset, int64_t length);
/* Bytes of pages allocated: cachestat(2). */
int model_memory_resident(const struct model_memory *memory, uint64_t *ret_bytes);
/* What mmap(2) of the guest_memfd would say. A mapping that is made is a holder. */
int model_memory_check_mapping(const struct model_memory *memory, size_t length, int protection,
	int flags, int64_t offset);
/*
 * Reads or writes through a mapping of [offset, offset + size), which allocates the pages.
 * -EFAULT where the host's access would be SIGBUS, -ENODEV where no mapping can be made.
 */
int model_memory_access(
	struct model_memory *memory, uint64_t offset, void *bytes, size_t size, bool write);

/* Memslots */

enum model_region_call {
	MODEL_REGION_V1, /* KVM_SET_USER_MEMORY_REGION: knows nothing of guest_memfds */
	MODEL_REGION_V2, /* KVM_SET_USER_MEMORY_REGION2 */
};

/* A file that is no guest_memfd, where a memory is asked for. */
#define MODEL_OTHER_FILE ((struct model_memory *)1)

/*
 * Creates, changes, moves or deletes a slot. memory is what the number arguments->guest_memfd means
 * in the process whose VM it is, NULL where that is no open file; it is only looked at where the
 * kernel would, and its holders stay as many as they are.
 */
int model_vm_set_region(struct model_vm *vm, enum model_region_call call,
	const struct kvm_userspace_memory_region2 *arguments, struct model_memory *memory);

/* The guest's view */

enum model_access {
	MODEL_ACCESS_DONE,
	MODEL_ACCESS_MMIO,         /* KVM_EXIT_MMIO: no slot, or a write to a read-only one */
	MODEL_ACCESS_MEMORY_FAULT, /* KVM_EXIT_MEMORY_FAULT: nothing is where it should come from */
	MODEL_ACCESS_FAULT,        /* KVM_RUN fails with EFAULT: nothing at the userspace address */
};

/*
 * What a guest's read or write of size bytes at a guest address of an address space does. Pages
 * that it touches are allocated. It ends at the first page that can't be accessed; *ret_done, which
 * may be NULL, is how many bytes came before.
 */
enum model_access model_vm_access(struct model_vm *vm, unsigned address_space,
	uint64_t guest_phys_addr, void *bytes, size_t size, bool write, size_t *ret_done);
