/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling gmemd of slots. See binding.h.
 */
#include "client/shim/binding.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/shim/broker.h"
#include "client/shim/mapped_name.h"
#include "client/shim/say.h"
#include "client/shim/vcpus.h"

struct change {
	const struct gmem_slot *unbound, *bound; /* NULL: none */
};

static int carry_out(void *context)
{
	const struct change *change = context;
	int r = 0;

	if (change->unbound)
		r = gmem_slot_unbind(broker_vm(), change->unbound->slot);
	if (r == 0 && change->bound)
		r = gmem_slot_bind(broker_vm(), change->bound);
	return r;
}

/* What can be done about it is the user's to do: so it names what they have written. */
static void say_refusal(const struct job *job, const struct gmem_slot *slot)
{
	char name[256];

	if (slot && !slot->memory && strcmp(job->reason, "budget_exceeded") == 0) {
		mapped_name(slot->userspace_addr, name, sizeof name);
		say("%s: gmemd refused: %s The memory there is the VMM's own: %s", job->what,
			job->message, name);
		return;
	}
	say("%s: gmemd refused: %s", job->what, job->message);
}

static int refused(const struct job *job, const struct gmem_slot *slot)
{
	say_refusal(job, slot);
	if (strcmp(job->reason, "conflict") == 0)
		return -EEXIST;
	return strcmp(job->reason, "budget_exceeded") == 0 ? -ENOMEM : -EINVAL;
}

static int change_slot(const struct change *change)
{
	const struct gmem_slot *slot = change->bound ? change->bound : change->unbound;
	struct job job = {.run = carry_out, .context = (void *)change};
	char what[128];
	int r;

	snprintf(what, sizeof what,
		"slot %" PRIu32 " of %" PRIu64 " bytes at guest address 0x%" PRIx64, slot->slot,
		slot->memory_size, slot->guest_phys_addr);
	job.what = what;
	r = broker_do(&job);
	return r == -EREMOTEIO ? refused(&job, change->bound) : r;
}

int binding_bind(const struct gmem_slot *slot)
{
	const struct change change = {.bound = slot};

	return change_slot(&change);
}

int binding_unbind(uint32_t number)
{
	const struct gmem_slot slot = {.slot = number};
	const struct change change = {.unbound = &slot};

	return change_slot(&change);
}

int binding_exchange(const struct gmem_slot *before, const struct gmem_slot *after)
{
	const struct change change = {.unbound = before, .bound = after};
	int r;

	vcpus_hold();
	r = change_slot(&change);
	vcpus_release();
	return r;
}
