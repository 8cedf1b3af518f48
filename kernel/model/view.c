/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the model's guest reads and writes: which page a guest address is, and what comes of an
 * access that has none. See model.h.
 *
 * A private frame is backed by its slot's guest_memfd. A shared one is, too, where that file has
 * GUEST_MEMFD_FLAG_MMAP (KVM_MEMSLOT_GMEM_ONLY, Linux 6.18), and by the slot's userspace address
 * where not. Private comes before everything: such a frame without a slot is no MMIO, but where the
 * guest has touched it while it was shared: KVM remembers that it is MMIO. Of a frame that is
 * remembered so from before slots changed it takes an access for one to shared memory, whatever it
 * is by now: once, where it is private.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/model/internal.h"

static int userspace_access(const struct model_userspace *userspace, uint64_t address, void *bytes,
	size_t size, bool write)
{
	struct iovec local = {.iov_base = bytes, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	pid_t process = userspace->process > 0 ? userspace->process : getpid();
	ssize_t done;

	if (userspace->access)
		return userspace->access(userspace->context, address, bytes, size, write);
	done = write ? process_vm_writev(process, &local, 1, &remote, 1, 0)
		     : process_vm_readv(process, &local, 1, &remote, 1, 0);
	return done == (ssize_t)size ? 0 : -EFAULT;
}

static enum model_access memory_access(
	const struct model_memory *memory, uint64_t offset, void *bytes, size_t size, bool write)
{
	ssize_t done;

	/* A guest's read allocates, a memfd's does not. */
	if (fallocate(memory->fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) < 0)
		return MODEL_ACCESS_MEMORY_FAULT;
	done = write ? pwrite(memory->fd, bytes, size, (off_t)offset)
		     : pread(memory->fd, bytes, size, (off_t)offset);
	return done == (ssize_t)size ? MODEL_ACCESS_DONE : MODEL_ACCESS_MEMORY_FAULT;
}

/* By KVM's instruction emulator, which is no page fault. */
static enum model_access emulated_access(const struct model_vm *vm, const struct model_slot *slot,
	uint64_t offset, void *bytes, size_t size, bool write)
{
	if (write && slot->flags & KVM_MEM_READONLY)
		return MODEL_ACCESS_MMIO;
	return userspace_access(&vm->userspace, slot->userspace_addr + offset, bytes, size, write) <
			       0
		       ? MODEL_ACCESS_MMIO
		       : MODEL_ACCESS_DONE;
}

static enum model_access hole_access(struct model_vm *vm, uint64_t page, bool private)
{
	if (vm->rules.emulated_guest)
		return MODEL_ACCESS_MMIO;
	if (private)
		return ranges_contain(&vm->mmio, page) ? MODEL_ACCESS_MMIO
						       : MODEL_ACCESS_MEMORY_FAULT;
	ranges_remove(&vm->mmio_stale, page, vm->page_size);
	return ranges_add(&vm->mmio, page, vm->page_size) < 0 ? MODEL_ACCESS_FAULT
							      : MODEL_ACCESS_MMIO;
}

/* Whether it is remembered as MMIO, from before: until it is touched while it is shared. */
static bool was_mmio(struct model_vm *vm, uint64_t page, bool private)
{
	if (!ranges_contain(&vm->mmio_stale, page))
		return false;
	if (!private)
		ranges_remove(&vm->mmio_stale, page, vm->page_size);
	return true;
}

/* Within one page. */
static enum model_access page_access(struct model_vm *vm, unsigned address_space,
	uint64_t guest_phys_addr, void *bytes, size_t size, bool write)
{
	struct model_slot *slot = model_slot_at(vm, address_space, guest_phys_addr);
	bool private = ranges_contain(&vm->private_ranges, guest_phys_addr);
	uint64_t page = guest_phys_addr & ~(vm->page_size - 1), offset;

	if (!slot)
		return hole_access(vm, page, private);
	offset = guest_phys_addr - slot->guest_phys_addr;
	if (vm->rules.emulated_guest)
		return emulated_access(vm, slot, offset, bytes, size, write);
	if (was_mmio(vm, page, private) && private)
		return MODEL_ACCESS_MEMORY_FAULT;
	if (private || slot->guest_memfd_only) {
		if (!slot->memory)
			return MODEL_ACCESS_MEMORY_FAULT;
		return memory_access(
			slot->memory, slot->guest_memfd_offset + offset, bytes, size, write);
	}
	if (write && slot->flags & KVM_MEM_READONLY)
		return MODEL_ACCESS_MMIO;
	return userspace_access(&vm->userspace, slot->userspace_addr + offset, bytes, size, write) <
			       0
		       ? MODEL_ACCESS_FAULT
		       : MODEL_ACCESS_DONE;
}

enum model_access model_vm_access(struct model_vm *vm, unsigned address_space,
	uint64_t guest_phys_addr, void *bytes, size_t size, bool write, size_t *ret_done)
{
	enum model_access result = MODEL_ACCESS_DONE;
	size_t done = 0;

	while (done < size && result == MODEL_ACCESS_DONE) {
		uint64_t address = guest_phys_addr + done;
		size_t part = vm->page_size - (address & (vm->page_size - 1));

		if (part > size - done)
			part = size - done;
		result = page_access(vm, address_space, address, (char *)bytes + done, part, write);
		if (result == MODEL_ACCESS_DONE)
			done += part;
	}
	if (ret_done)
		*ret_done = done;
	return result;
}
