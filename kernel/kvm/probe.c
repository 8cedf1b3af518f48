/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host's kernel offers for guest memory. See probe.h.
 */
#include "kernel/kvm/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/kvm/gate.h"
#include "kernel/model/model.h"

/* KVM_X86_* of <asm/kvm.h>, up to Linux 6.18. */
static const char *const type_names[] = {
	"default",
#ifdef __x86_64__
	"sw_protected",
	"sev",
	"sev_es",
	"snp",
	"tdx",
#endif
};

const char *vm_type_name(unsigned type)
{
	return type < sizeof type_names / sizeof *type_names ? type_names[type] : NULL;
}

int vm_type_by_name(const char *name, unsigned *ret_type)
{
	char *end;
	unsigned long number;

	for (unsigned type = 0; type < sizeof type_names / sizeof *type_names; type++) {
		if (strcmp(name, type_names[type]) == 0) {
			*ret_type = type;
			return 0;
		}
	}
	number = strtoul(name, &end, 10);
	if (name[0] < '0' || name[0] > '9' || *end != '\0' || number >= VM_TYPES_MAX)
		return -ENOENT;
	*ret_type = (unsigned)number;
	return 0;
}

/* An extension's value, 0 where the kernel does not know it. */
static uint32_t extension(int fd, unsigned long capability)
{
	int value = ioctl(fd, KVM_CHECK_EXTENSION, capability);

	return value < 0 ? 0 : (uint32_t)value;
}

/* What says nothing about the kernel, but about this process or this moment. */
static bool is_lack_of_room(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

/* On a file of its own, which no guest has, and which is private from the start. */
static bool converts_in_place(int vm_fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct kvm_create_guest_memfd creation = {.size = page};
	struct kvm_memory_attributes2 attributes = {
		.size = page, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE};
	cleanup_fd int file = ioctl(vm_fd, KVM_CREATE_GUEST_MEMFD, &creation);

	return file >= 0 && ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, &attributes) == 0;
}

/* A type that no VM can be made of is not offered. */
static int probe_vm_type(int kvm_fd, unsigned long type, struct vm_type_offer *ret)
{
	cleanup_fd int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, type);
	struct vm_type_offer offer;

	if (vm_fd < 0)
		return is_lack_of_room(errno) ? -errno : 0;
	offer = (struct vm_type_offer){
		.offered = true,
		.guest_memfd = extension(vm_fd, KVM_CAP_GUEST_MEMFD) > 0 &&
			       extension(vm_fd, KVM_CAP_USER_MEMORY2) > 0,
		.guest_memfd_flags = extension(vm_fd, KVM_CAP_GUEST_MEMFD_FLAGS),
		.memory_attributes = extension(vm_fd, KVM_CAP_MEMORY_ATTRIBUTES),
		.memslots = extension(vm_fd, KVM_CAP_NR_MEMSLOTS),
		.address_spaces = extension(vm_fd, KVM_CAP_MULTI_ADDRESS_SPACE),
		.pre_fault_memory = extension(vm_fd, KVM_CAP_PRE_FAULT_MEMORY) > 0,
	};
	offer.converts_in_place =
		offer.guest_memfd && offer.memory_attributes == 0 && converts_in_place(vm_fd);
	if (offer.memslots == 0)
		offer.memslots = 32; /* what api.rst promises of a kernel that doesn't say */
	if (offer.address_spaces == 0)
		offer.address_spaces = 1;
	*ret = offer;
	return 0;
}

static int probe_kvm(int kvm_fd, struct host_offer *offer)
{
	int r = 0;

	offer->kvm = ioctl(kvm_fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
	if (!offer->kvm)
		return 0;
	offer->vm_type_mask = extension(kvm_fd, KVM_CAP_VM_TYPES) | 1u;
	for (unsigned type = 0; r == 0 && type < VM_TYPES_MAX; type++) {
		if (offer->vm_type_mask & (1u << type))
			r = probe_vm_type(kvm_fd, type, &offer->vm_types[type]);
		if (!offer->vm_types[type].offered)
			offer->vm_type_mask &= ~(1u << type);
	}
	return r;
}

static int probe_system(struct host_offer *offer)
{
	struct utsname name;
	struct sysinfo info;

	if (uname(&name) < 0 || sysinfo(&info) < 0)
		return -errno;
	*offer = (struct host_offer){
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
		.memory_total = (uint64_t)info.totalram * info.mem_unit,
	};
	snprintf(offer->kernel_release, sizeof offer->kernel_release, "%s", name.release);
	return 0;
}

int probe_host(int kvm_fd, struct host_offer *ret)
{
	struct host_offer offer;
	int r;

	r = probe_system(&offer);
	if (r < 0)
		return r;
	offer.gate = gate_available(&offer.gate_missing);
	if (kvm_fd >= 0)
		r = probe_kvm(kvm_fd, &offer);
	if (r == 0)
		*ret = offer;
	return r;
}

int probe_model(struct host_offer *ret)
{
	struct host_offer offer;
	struct model_rules rules;
	int r;

	r = probe_system(&offer);
	if (r < 0)
		return r;
	for (unsigned type = 0; type < VM_TYPES_MAX; type++) {
		if (model_rules_of_type(type, &rules) < 0)
			continue;
		offer.vm_type_mask |= 1u << type;
		offer.vm_types[type] = (struct vm_type_offer){
			.offered = true,
			.guest_memfd = true,
			.guest_memfd_flags = rules.guest_memfd_flags,
			.memory_attributes = rules.memory_attributes,
			.memslots = rules.memslots,
			.address_spaces = rules.address_spaces,
		};
	}
	*ret = offer;
	return 0;
}
