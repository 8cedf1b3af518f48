/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memslots. See slots.h.
 */
#include "client/shim/slots.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "client/gmem.h"
#include "client/shim/adopt.h"
#include "client/shim/areas.h"
#include "client/shim/binding.h"
#include "client/shim/book.h"
#include "client/shim/ram.h"
#include "kernel/base/uapi.h"

struct slot {
	LIST_ENTRY(slot) link;
	struct kvm_userspace_memory_region region; /* as the VMM has set it */
	struct ram *ram;                           /* that it shows; NULL: the VMM's own memory */
	uint64_t offset;
	bool direct; /* bound to the guest_memfd, and not through the mapping */
};

/* The lock orders what the VMM's threads do, as KVM does. */
static struct {
	pthread_mutex_t lock;
	LIST_HEAD(, slot) list;
} slots = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct slot *find(uint32_t number)
{
	struct slot *slot;

	LIST_FOREACH (slot, &slots.list, link) {
		if (slot->region.slot == number)
			return slot;
	}
	return NULL;
}

/* KVM binds no two slots to the same offsets of a guest_memfd. */
static bool is_taken(const struct slot *wanted)
{
	const struct slot *slot;

	LIST_FOREACH (slot, &slots.list, link) {
		if (slot->direct && slot->ram == wanted->ram &&
			slot->region.slot != wanted->region.slot &&
			slot->offset < wanted->offset + wanted->region.memory_size &&
			wanted->offset < slot->offset + slot->region.memory_size)
			return true;
	}
	return false;
}

static bool is_shown(const struct kvm_userspace_memory_region *region, struct slot *ret)
{
	bool shown;

	if (!book_open())
		return false;
	shown = areas_show(region->userspace_addr, region->memory_size, &ret->ram, &ret->offset);
	if (shown)
		ram_join(ret->ram);
	book_close();
	return shown;
}

static void leave(struct slot *slot)
{
	if (slot->ram && book_open()) {
		ram_leave(slot->ram);
		book_close();
	}
}

static void decide(struct slot *slot)
{
	slot->direct = slot->ram && slot->ram->page_size == 0 && slot->region.flags == 0 &&
		       !is_taken(slot);
}

static int plan(const struct kvm_userspace_memory_region *region, struct slot *ret)
{
	int r;

	*ret = (struct slot){.region = *region};
	if (!is_shown(region, ret) && region->flags == 0) {
		r = adopt(region->userspace_addr, region->memory_size);
		if (r < 0)
			return r;
		is_shown(region, ret);
	}
	decide(ret);
	return 0;
}

static unsigned flags_of(const struct slot *slot)
{
	unsigned flags = 0;

	if (slot->region.flags & KVM_MEM_READONLY)
		flags |= GMEM_SLOT_READONLY;
	if (slot->region.flags & KVM_MEM_LOG_DIRTY_PAGES)
		flags |= GMEM_SLOT_LOG_DIRTY_PAGES;
	if (slot->ram && !slot->direct)
		flags |= GMEM_SLOT_THROUGH_MAPPING;
	return flags;
}

/* As gmemd is told. */
static struct gmem_slot describe(const struct slot *slot)
{
	const struct kvm_userspace_memory_region *region = &slot->region;

	return (struct gmem_slot){.slot = region->slot,
		.flags = flags_of(slot),
		.guest_phys_addr = region->guest_phys_addr,
		.memory_size = region->memory_size,
		.userspace_addr = region->userspace_addr,
		.memory = slot->ram ? slot->ram->memory : NULL,
		.guest_memfd_offset = slot->offset};
}

static int create(const struct kvm_userspace_memory_region *region)
{
	struct slot wanted, *slot;
	struct gmem_slot described;
	int r = plan(region, &wanted);

	if (r < 0)
		return r;
	described = describe(&wanted);
	r = binding_bind(&described);
	if (r < 0) {
		leave(&wanted);
		return r;
	}
	slot = book_allocate(sizeof *slot);
	*slot = wanted;
	LIST_INSERT_HEAD(&slots.list, slot, link);
	return 0;
}

static int delete (struct slot *slot)
{
	const struct gmem_slot described = describe(slot);
	int r = binding_unbind(&described);

	if (r < 0)
		return r;
	LIST_REMOVE(slot, link);
	leave(slot);
	free(slot);
	return 0;
}

/* Where it is in the guest, and its flags. KVM changes those of a plain one in place. */
static int change(struct slot *slot, const struct kvm_userspace_memory_region *region)
{
	struct slot wanted = *slot;
	struct gmem_slot described;
	bool in_place;
	int r;

	wanted.region = *region;
	decide(&wanted);
	described = describe(&wanted);
	in_place = !slot->direct && !wanted.direct &&
		   region->guest_phys_addr == slot->region.guest_phys_addr;
	r = in_place ? binding_bind(&described) : binding_exchange(&described);
	if (r < 0)
		return r;
	slot->region = wanted.region;
	slot->direct = wanted.direct;
	return 0;
}

/* What KVM changes of a slot that there is, and what not. */
static int set_again(struct slot *slot, const struct kvm_userspace_memory_region *region)
{
	const struct kvm_userspace_memory_region *before = &slot->region;

	if (region->memory_size != before->memory_size ||
		region->userspace_addr != before->userspace_addr ||
		((region->flags ^ before->flags) & KVM_MEM_READONLY))
		return -EINVAL;
	if (region->guest_phys_addr == before->guest_phys_addr && region->flags == before->flags)
		return 0;
	return change(slot, region);
}

static int set(const struct kvm_userspace_memory_region *region)
{
	struct slot *slot = find(region->slot);

	if (region->memory_size == 0)
		return slot ? delete (slot) : -EINVAL;
	return slot ? set_again(slot, region) : create(region);
}

int slots_set(const struct kvm_userspace_memory_region *region)
{
	int r;

	if (region->flags & ~(uint32_t)(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return -EINVAL;
	pthread_mutex_lock(&slots.lock);
	r = set(region);
	pthread_mutex_unlock(&slots.lock);
	return r;
}
