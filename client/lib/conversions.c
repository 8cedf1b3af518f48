/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversions under way. See conversions.h.
 */
#include "client/lib/conversions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void conversions_init(struct conversions *conversions)
{
	*conversions = (struct conversions){
		.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
}

void conversions_clear(struct conversions *conversions)
{
	struct contradiction *contradiction;

	while ((contradiction = LIST_FIRST(&conversions->contradictions))) {
		LIST_REMOVE(contradiction, link);
		free(contradiction);
	}
	ranges_clear(&conversions->under_way);
	ranges_clear(&conversions->private);
	ranges_clear(&conversions->uncertain);
	pthread_cond_destroy(&conversions->ended);
	pthread_mutex_destroy(&conversions->lock);
}

/* What gmemd refuses overlaps nothing. */
static bool is_under_way(
	const struct conversions *conversions, const struct gmem_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ranges_covered(
			    &conversions->under_way, ranges[i].guest_phys_addr, ranges[i].size) > 0)
			return true;
	}
	return false;
}

static void remove_all(struct ranges *from, const struct gmem_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ranges_remove(from, ranges[i].guest_phys_addr, ranges[i].size);
}

static int add_all(struct ranges *to, const struct gmem_range *ranges, size_t count)
{
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < count; i++)
		r = ranges_add(to, ranges[i].guest_phys_addr, ranges[i].size);
	if (r == -ENOMEM)
		remove_all(to, ranges, count);
	return r == -ENOMEM ? r : 0;
}

int conversions_begin(
	struct conversions *conversions, const struct gmem_range *ranges, size_t count)
{
	int r;

	pthread_mutex_lock(&conversions->lock);
	while (is_under_way(conversions, ranges, count))
		pthread_cond_wait(&conversions->ended, &conversions->lock);
	r = add_all(&conversions->under_way, ranges, count);
	pthread_mutex_unlock(&conversions->lock);
	return r;
}

void conversions_end(struct conversions *conversions, const struct gmem_range *ranges, size_t count)
{
	pthread_mutex_lock(&conversions->lock);
	remove_all(&conversions->under_way, ranges, count);
	pthread_cond_broadcast(&conversions->ended);
	pthread_mutex_unlock(&conversions->lock);
}

/* Where gmemd has cleared it, it is no range, and the kernel refuses it. */
int conversions_issue(struct conversions *conversions, const void *entry, uint64_t told,
	struct conversion_issue *ret)
{
	int r = -ESTALE;

	pthread_mutex_lock(&conversions->lock);
	if (told == conversions->told) {
		*ret = (struct conversion_issue){.entry = entry, .told = told};
		memcpy(&ret->was, entry, sizeof ret->was);
		r = ranges_add(&conversions->uncertain, ret->was.address, ret->was.size);
	}
	pthread_mutex_unlock(&conversions->lock);
	return r == -EINVAL ? 0 : r;
}

enum gmem_state conversion_issue_to(const struct conversion_issue *issue)
{
	return issue->was.attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE ? GMEM_PRIVATE : GMEM_SHARED;
}

/* Without memory for it a gmemd that loses the VM takes them for shared. */
static void note(
	struct conversions *conversions, enum gmem_state to, uint64_t address, uint64_t size)
{
	if (to == GMEM_PRIVATE)
		ranges_add(&conversions->private, address, size);
	else
		ranges_remove(&conversions->private, address, size);
	conversions->changes++;
	ranges_remove(&conversions->uncertain, address, size);
}

bool conversions_issued(
	struct conversions *conversions, const struct conversion_issue *issue, int r)
{
	const struct kvm_memory_attributes *was = &issue->was;
	bool known;

	pthread_mutex_lock(&conversions->lock);
	known = issue->told == conversions->told && memcmp(was, issue->entry, sizeof *was) == 0;
	if (known && r < 0)
		ranges_remove(&conversions->uncertain, was->address, was->size);
	else if (known)
		note(conversions, conversion_issue_to(issue), was->address, was->size);
	pthread_mutex_unlock(&conversions->lock);
	return known && r >= 0;
}

void conversions_note(struct conversions *conversions, enum gmem_state to,
	const struct gmem_range *ranges, size_t count)
{
	pthread_mutex_lock(&conversions->lock);
	for (size_t i = 0; i < count; i++)
		note(conversions, to, ranges[i].guest_phys_addr, ranges[i].size);
	pthread_mutex_unlock(&conversions->lock);
}

uint64_t conversions_told(struct conversions *conversions)
{
	uint64_t told;

	pthread_mutex_lock(&conversions->lock);
	told = conversions->told;
	pthread_mutex_unlock(&conversions->lock);
	return told;
}

void conversions_note_told(struct conversions *conversions)
{
	pthread_mutex_lock(&conversions->lock);
	conversions->told++;
	pthread_mutex_unlock(&conversions->lock);
}

bool conversions_hold(struct conversions *conversions, uint64_t told)
{
	pthread_mutex_lock(&conversions->lock);
	if (conversions->told == told)
		return true;
	pthread_mutex_unlock(&conversions->lock);
	return false;
}

void conversions_release(struct conversions *conversions)
{
	pthread_mutex_unlock(&conversions->lock);
}

size_t conversions_copy(struct conversions *conversions, enum conversions_set set, uint64_t from,
	struct gmem_range *ranges, size_t count)
{
	const struct ranges *of =
		set == CONVERSIONS_PRIVATE ? &conversions->private : &conversions->uncertain;
	const struct range *range;
	struct range_place place;
	size_t copied = 0;

	pthread_mutex_lock(&conversions->lock);
	range = ranges_from(of, from, &place);
	for (; range && copied < count; range = ranges_next(&place))
		ranges[copied++] = (struct gmem_range){range->start, range->end - range->start};
	pthread_mutex_unlock(&conversions->lock);
	return copied;
}

void conversions_note_change(struct conversions *conversions)
{
	pthread_mutex_lock(&conversions->lock);
	conversions->changes++;
	pthread_mutex_unlock(&conversions->lock);
}

enum conversions_found conversions_find(
	struct conversions *conversions, enum gmem_state state, const struct gmem_range *range)
{
	uint64_t private;

	pthread_mutex_lock(&conversions->lock);
	private = ranges_covered(&conversions->private, range->guest_phys_addr, range->size);
	pthread_mutex_unlock(&conversions->lock);
	return private == (state == GMEM_PRIVATE ? range->size : 0) ? CONVERSIONS_ARE_SO
								    : CONVERSIONS_ARE_OTHER;
}

/* NULL without memory for it. */
static struct contradiction *contradiction_of(struct conversions *conversions, const void *vcpu)
{
	struct contradiction *contradiction;

	LIST_FOREACH (contradiction, &conversions->contradictions, link) {
		if (contradiction->vcpu == vcpu)
			return contradiction;
	}
	contradiction = calloc(1, sizeof *contradiction);
	if (!contradiction)
		return NULL;
	*contradiction = (struct contradiction){.vcpu = vcpu, .changes = UINT64_MAX};
	LIST_INSERT_HEAD(&conversions->contradictions, contradiction, link);
	return contradiction;
}

bool conversions_contradicted_again(
	struct conversions *conversions, const void *vcpu, uint64_t guest_phys_addr)
{
	struct contradiction *last;
	bool again = false;

	pthread_mutex_lock(&conversions->lock);
	last = contradiction_of(conversions, vcpu);
	if (last) {
		again = last->changes == conversions->changes &&
			last->guest_phys_addr == guest_phys_addr;
		last->changes = again ? UINT64_MAX : conversions->changes;
		last->guest_phys_addr = guest_phys_addr;
	}
	pthread_mutex_unlock(&conversions->lock);
	return again;
}
