/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What to do under memory pressure. See policy.h.
 */
#include "daemon/pressure/policy.h"

#include <errno.h>
#include <stdlib.h>

#include "protocol/methods.h"

#define QUIET 10000000 /* microseconds */

static int ask_compare(struct pressure_ask *a, struct pressure_ask *b)
{
	return a->key < b->key ? -1 : a->key > b->key;
}

RB_GENERATE_LOCAL(pressure_ask_tree, pressure_ask, by_key, ask_compare)

struct pressure_settings pressure_settings_for(
	uint64_t floor, uint64_t deadline, uint64_t page_size)
{
	return (struct pressure_settings){
		.floor = floor,
		.margin = floor / 4,
		.quiet = QUIET,
		.deadline = deadline,
		.page_size = page_size,
	};
}

void pressure_policy_init(struct pressure_policy *policy, const struct pressure_settings *settings)
{
	*policy = (struct pressure_policy){.settings = *settings};
}

static void drop_ask(struct pressure_policy *policy, struct pressure_ask *ask)
{
	RB_REMOVE(pressure_ask_tree, &policy->asks, ask);
	free(ask);
}

void pressure_policy_clear(struct pressure_policy *policy)
{
	struct pressure_ask *ask, *next;

	RB_FOREACH_SAFE (ask, pressure_ask_tree, &policy->asks, next)
		drop_ask(policy, ask);
}

static struct pressure_ask *find_ask(const struct pressure_policy *policy, uint64_t key)
{
	struct pressure_ask wanted = {.key = key};

	/* The tree's functions take no const. */
	return RB_FIND(pressure_ask_tree, (struct pressure_ask_tree *)&policy->asks, &wanted);
}

static uint64_t add_ask(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t target_of(const struct pressure_policy *policy)
{
	return add_ask(policy->settings.floor, policy->settings.margin);
}

/* Levels */

static enum pressure_level level_of_available(
	const struct pressure_policy *policy, uint64_t available)
{
	uint64_t floor = policy->settings.floor;

	if (available >= target_of(policy))
		return PRESSURE_LEVEL_NONE;
	if (available >= floor)
		return policy->level > PRESSURE_LEVEL_NONE ? PRESSURE_LEVEL_LOW
							   : PRESSURE_LEVEL_NONE;
	if (available >= floor / 2)
		return PRESSURE_LEVEL_LOW;
	return available >= floor / 4 ? PRESSURE_LEVEL_MEDIUM : PRESSURE_LEVEL_CRITICAL;
}

static enum pressure_level level_of(
	const struct pressure_policy *policy, const struct pressure_observation *observation)
{
	enum pressure_level level;

	if (policy->settings.floor == 0)
		return PRESSURE_LEVEL_NONE;
	level = level_of_available(policy, observation->available);
	if (observation->stalled && observation->available < target_of(policy) &&
		level < PRESSURE_LEVEL_CRITICAL)
		level++;
	return level;
}

/* To the worst of a quiet time, once that has passed. */
static void ease_level(struct pressure_policy *policy, enum pressure_level level, uint64_t time)
{
	if (!policy->easing) {
		policy->easing = true;
		policy->eased_since = time;
		policy->eased_level = level;
	}
	if (level > policy->eased_level)
		policy->eased_level = level;
	if (time < add_ask(policy->eased_since, policy->settings.quiet))
		return;
	policy->level = policy->eased_level;
	policy->easing = false;
}

static void miss_deadline(struct pressure_ask *ask)
{
	ask->answer = ask->given > 0 ? PRESSURE_ANSWER_PARTLY : PRESSURE_ANSWER_NONE;
	if (ask->missed++ == 0)
		ask->overdue_since = ask->deadline;
}

static void end_round(struct pressure_policy *policy, uint64_t time)
{
	struct pressure_ask *ask;

	if (!policy->round_open || time < policy->round_end)
		return;
	policy->round_open = false;
	RB_FOREACH (ask, pressure_ask_tree, &policy->asks) {
		if (ask->answer == PRESSURE_ANSWER_PENDING)
			miss_deadline(ask);
	}
}

bool pressure_policy_observe(
	struct pressure_policy *policy, const struct pressure_observation *observation)
{
	enum pressure_level before = policy->level, level = level_of(policy, observation);

	policy->available = observation->available;
	end_round(policy, observation->time);
	if (level < policy->level) {
		ease_level(policy, level, observation->time);
	} else {
		policy->level = level;
		policy->easing = false;
	}
	if (policy->level == PRESSURE_LEVEL_NONE)
		pressure_policy_clear(policy);
	return policy->level != before;
}

uint64_t pressure_policy_next(const struct pressure_policy *policy)
{
	uint64_t round = policy->round_open ? policy->round_end : UINT64_MAX;
	uint64_t eased =
		policy->easing ? add_ask(policy->eased_since, policy->settings.quiet) : UINT64_MAX;

	return round < eased ? round : eased;
}

/* Rounds */

uint64_t pressure_policy_shortfall(const struct pressure_policy *policy)
{
	if (policy->level == PRESSURE_LEVEL_NONE || policy->available >= target_of(policy))
		return 0;
	return target_of(policy) - policy->available;
}

bool pressure_policy_round_due(const struct pressure_policy *policy, uint64_t time)
{
	return pressure_policy_shortfall(policy) > 0 &&
	       (!policy->round_open || time >= policy->round_end);
}

/* The lowest priority first, and of those the largest; of the same size, in the order of their
 * keys, for the sake of order. */
static int vm_compare(const void *left, const void *right)
{
	const struct pressure_vm *a = left, *b = right;

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	if (a->reclaimable != b->reclaimable)
		return a->reclaimable > b->reclaimable ? -1 : 1;
	return a->key < b->key ? -1 : a->key > b->key;
}

/* How much of the VM's ask is likely to come. */
static uint64_t expected_of(const struct pressure_policy *policy, const struct pressure_vm *vm)
{
	const struct pressure_ask *last = find_ask(policy, vm->key);

	return last && last->missed > 0 && last->given < vm->ask ? last->given : vm->ask;
}

/* Returns how many have an ask: those before the first that is asked for nothing. */
static size_t distribute_ask(
	const struct pressure_policy *policy, struct pressure_vm *vms, size_t n_vms)
{
	uint64_t page = policy->settings.page_size, lacking = pressure_policy_shortfall(policy);
	size_t asked = 0;

	for (size_t i = 0; i < n_vms; i++) {
		uint64_t most = vms[i].reclaimable / page * page;
		uint64_t wanted = lacking / page + (lacking % page > 0), expected;

		vms[i].ask = wanted > most / page ? most : wanted * page;
		expected = expected_of(policy, &vms[i]);
		lacking -= expected < lacking ? expected : lacking;
		asked += vms[i].ask > 0;
	}
	return asked;
}

/* An ask for each VM that has none. */
static int make_asks(struct pressure_policy *policy, const struct pressure_vm *vms, size_t n_vms)
{
	for (size_t i = 0; i < n_vms; i++) {
		struct pressure_ask *ask = find_ask(policy, vms[i].key);

		if (ask)
			continue;
		ask = calloc(1, sizeof *ask);
		if (!ask)
			return -ENOMEM;
		ask->key = vms[i].key;
		RB_INSERT(pressure_ask_tree, &policy->asks, ask);
	}
	return 0;
}

/* Those that were made and then not used. */
static void drop_unused(struct pressure_policy *policy)
{
	struct pressure_ask *ask, *next;

	RB_FOREACH_SAFE (ask, pressure_ask_tree, &policy->asks, next) {
		if (ask->asked == 0)
			drop_ask(policy, ask);
	}
}

static void begin_round(
	struct pressure_policy *policy, uint64_t time, const struct pressure_vm *vms, size_t n_vms)
{
	policy->round_open = true;
	policy->round_end = add_ask(time, policy->settings.deadline);
	for (size_t i = 0; i < n_vms; i++) {
		struct pressure_ask *ask = find_ask(policy, vms[i].key);

		ask->asked = vms[i].ask;
		ask->given = 0;
		ask->deadline = policy->round_end;
		ask->answer = PRESSURE_ANSWER_PENDING;
	}
}

int pressure_policy_ask(struct pressure_policy *policy, uint64_t time, struct pressure_vm *vms,
	size_t n_vms, size_t *ret_asked)
{
	size_t asked;
	int r;

	if (!pressure_policy_round_due(policy, time)) {
		*ret_asked = 0;
		return 0;
	}
	end_round(policy, time);
	if (n_vms > 0)
		qsort(vms, n_vms, sizeof *vms, vm_compare);
	asked = distribute_ask(policy, vms, n_vms);
	r = make_asks(policy, vms, asked);
	if (r < 0) {
		drop_unused(policy);
		return r;
	}
	begin_round(policy, time, vms, asked);
	*ret_asked = asked;
	return 0;
}

void pressure_policy_given(struct pressure_policy *policy, uint64_t key, uint64_t bytes)
{
	struct pressure_ask *ask = find_ask(policy, key);

	if (!ask || bytes == 0)
		return;
	ask->given = add_ask(ask->given, bytes);
	if (ask->given >= ask->asked) {
		ask->answer = PRESSURE_ANSWER_GIVEN;
		ask->missed = 0;
	} else if (ask->answer == PRESSURE_ANSWER_NONE) {
		ask->answer = PRESSURE_ANSWER_PARTLY;
	}
}

void pressure_policy_forget(struct pressure_policy *policy, uint64_t key)
{
	struct pressure_ask *ask = find_ask(policy, key);

	if (ask)
		drop_ask(policy, ask);
}

const struct pressure_ask *pressure_policy_ask_from(
	const struct pressure_policy *policy, uint64_t key)
{
	struct pressure_ask wanted = {.key = key};

	return RB_NFIND(pressure_ask_tree, (struct pressure_ask_tree *)&policy->asks, &wanted);
}

bool pressure_ask_is_overdue(const struct pressure_ask *ask)
{
	return ask->missed > 0;
}
