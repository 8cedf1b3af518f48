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

static int bind_one(void *slot)
{
	return gmem_slot_bind(broker_vm(), slot);
}

static int unbind_one(void *slot)
{
	return gmem_slot_unbind(broker_vm(), ((const struct gmem_slot *)slot)->slot);
}

static void hold(void *unused)
{
	(void)unused;
	vcpus_hold();
}

static void release(void *unused)
{
	(void)unused;
	vcpus_release();
}

/* gmemd is not waited for between the two, nor while vCPUs are held. */
static int exchange_one(void *context)
{
	const struct gmem_slot *slot = context;
	const struct gmem_slot_change changes[] = {{.unbind = slot->slot}, {.bind = slot}};
	const struct gmem_slot_hold held = {.begin = hold, .end = release};

	return gmem_slot_change(broker_vm(), changes, 2, &held, NULL);
}

/* What can be done about it is the user's to do: so it names what they have written. */
static void say_refusal(const struct job *job, const struct gmem_slot *slot)
{
	char name[256];

	if (!slot->memory && strcmp(job->reason, "budget_exceeded") == 0) {
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

static int change_slot(int (*change)(void *slot), const struct gmem_slot *slot)
{
	struct job job = {.run = change, .context = (void *)slot};
	char what[128];
	int r;

	snprintf(what, sizeof what,
		"slot %" PRIu32 " of %" PRIu64 " bytes at guest address 0x%" PRIx64, slot->slot,
		slot->memory_size, slot->guest_phys_addr);
	job.what = what;
	r = broker_do(&job);
	return r == -EREMOTEIO ? refused(&job, slot) : r;
}

int binding_bind(const struct gmem_slot *slot)
{
	return change_slot(bind_one, slot);
}

int binding_unbind(const struct gmem_slot *slot)
{
	return change_slot(unbind_one, slot);
}

int binding_exchange(const struct gmem_slot *slot)
{
	return change_slot(exchange_one, slot);
}
