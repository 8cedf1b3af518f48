/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What to do under memory pressure: how bad it is, which VM is asked to give how much back, and who
 * has not.
 *
 * There is pressure once less than the floor is available on the host, and until the target, a
 * margin above the floor, was available for a quiet time. Then VMs are asked in rounds, each with a
 * deadline and none before the one of the round before, those of the lowest priority first, and of
 * these the largest, until what they are asked for makes up for what the target lacks.
 *
 * Nothing here looks at the host or at a clock. Times are CLOCK_MONOTONIC's in microseconds, sizes
 * bytes. A VM's key is the caller's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/report/pressure_level.h"
#include "kernel/base/tree.h"

struct pressure_settings {
	uint64_t floor; /* 0: there is never any pressure */
	uint64_t margin;
	uint64_t quiet;
	uint64_t deadline; /* from being asked */
	uint64_t page_size;
};

/* With a margin of a quarter of the floor, and 10 s of quiet. */
struct pressure_settings pressure_settings_for(
	uint64_t floor, uint64_t deadline, uint64_t page_size);

enum pressure_answer {
	PRESSURE_ANSWER_PENDING, /* until the deadline */
	PRESSURE_ANSWER_GIVEN,   /* all that was asked for */
	PRESSURE_ANSWER_PARTLY,  /* by the deadline, or since */
	PRESSURE_ANSWER_NONE,    /* nothing by the deadline, nor since */
};

/* The last one of a VM. */
struct pressure_ask {
	RB_ENTRY(pressure_ask) by_key;
	uint64_t key;
	uint64_t asked;
	uint64_t given; /* since it was asked */
	uint64_t deadline;
	enum pressure_answer answer;
	/* Deadlines missed since it last gave all that it was asked for, and when the first was. */
	unsigned missed;
	uint64_t overdue_since;
};

RB_HEAD(pressure_ask_tree, pressure_ask);

struct pressure_policy {
	struct pressure_settings settings;
	enum pressure_level level;
	uint64_t available; /* when it was last observed */
	/* The worst since it was last as bad as the level, and since when. */
	bool easing;
	enum pressure_level eased_level;
	uint64_t eased_since;
	/* The last round, and whether its deadline is still to come. */
	bool round_open;
	uint64_t round_end;
	struct pressure_ask_tree asks;
};

void pressure_policy_init(struct pressure_policy *policy, const struct pressure_settings *settings);
void pressure_policy_clear(struct pressure_policy *policy);

struct pressure_observation {
	uint64_t time;
	uint64_t available; /* MemAvailable */
	/*
	 * Tasks have waited for memory since the last one. That makes it worse by one level where
	 * less than the target is available; where more is, they ran into a limit of their own.
	 */
	bool stalled;
};

/*
 * Takes in what is the case now. Returns whether the level has changed. A worse level holds at
 * once, a better one after the quiet time; with the end of pressure all asks are forgotten.
 */
bool pressure_policy_observe(
	struct pressure_policy *policy, const struct pressure_observation *observation);

/* When it should be observed at the latest, as only time passes; UINT64_MAX: whenever. */
uint64_t pressure_policy_next(const struct pressure_policy *policy);

/* What the target lacks; 0 where there is no pressure. */
uint64_t pressure_policy_shortfall(const struct pressure_policy *policy);

/* Whether pressure_policy_ask() would begin a round. */
bool pressure_policy_round_due(const struct pressure_policy *policy, uint64_t time);

struct pressure_vm {
	uint64_t key;
	uint64_t reclaimable;
	uint64_t ask; /* made by pressure_policy_ask(), in whole pages */
	unsigned priority;
};

/*
 * Begins a round where one is due: puts the VMs in order, as above, and asks as many as
 * are needed. The first *ret_asked of them have an ask then. One that missed its last deadline is
 * asked again, but counted on only for as much as it gave to the ask before. Each key is there
 * once. -ENOMEM: then nobody is asked.
 */
int pressure_policy_ask(struct pressure_policy *policy, uint64_t time, struct pressure_vm *vms,
	size_t n_vms, size_t *ret_asked);

/* A VM has given bytes back, asked or not. */
void pressure_policy_given(struct pressure_policy *policy, uint64_t key, uint64_t bytes);

/* A VM is no more. */
void pressure_policy_forget(struct pressure_policy *policy, uint64_t key);

/* The first ask of the VM with that key or one after it, NULL where there is none. Valid until the
 * policy is called to change anything. */
const struct pressure_ask *pressure_policy_ask_from(
	const struct pressure_policy *policy, uint64_t key);
/* Whether its deadline has passed, and its VM has not given all that it was asked for. */
bool pressure_ask_is_overdue(const struct pressure_ask *ask);
