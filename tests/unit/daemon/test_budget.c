/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets: a charge is taken at all levels or at none, to the byte; what is promised is there.
 */
#include "daemon/budget/budget.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

struct levels {
	struct budget host, node, vm;
};

static void levels_init(struct levels *levels, uint64_t host, uint64_t node, uint64_t vm)
{
	levels->host = (struct budget){.scope = "host", .limit = host};
	levels->node = (struct budget){.scope = "node", .limit = node, .within = &levels->host};
	levels->vm = (struct budget){.scope = "vm", .limit = vm, .within = &levels->node};
}

static void check_committed(const struct levels *levels, uint64_t bytes)
{
	UNIT_ASSERT_ROW(levels->host.committed == bytes && levels->node.committed == bytes &&
				levels->vm.committed == bytes,
		"%llu, %llu, %llu", (unsigned long long)levels->host.committed,
		(unsigned long long)levels->node.committed,
		(unsigned long long)levels->vm.committed);
}

static void test_all_levels(void)
{
	struct levels levels;

	levels_init(&levels, 100, 100, 100);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 60));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 40));
	check_committed(&levels, 100);
	budget_give_back(&levels.vm, 60);
	check_committed(&levels, 40);
	budget_give_back(&levels.vm, 40);
	check_committed(&levels, 0);
}

/* Whichever level refuses, none has taken anything. */
static void test_refusals(void)
{
	static const struct {
		uint64_t host, node, vm;
		const char *scope;
	} rows[] = {{99, 200, 200, "host"}, {200, 99, 200, "node"}, {200, 200, 99, "vm"},
		{99, 99, 99, "vm"}, {99, 99, 200, "node"}, {0, 200, 200, "host"}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct budget *refused;
		struct levels levels;

		levels_init(&levels, rows[i].host, rows[i].node, rows[i].vm);
		refused = budget_charge(&levels.vm, 100);
		UNIT_ASSERT_ROW(refused && strcmp(refused->scope, rows[i].scope) == 0,
			"row %zu: %s", i, refused ? refused->scope : "taken");
		check_committed(&levels, 0);
	}
}

static void test_edges(void)
{
	struct levels levels;

	levels_init(&levels, BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 0));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, UINT64_MAX));
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, 1), &levels.vm);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 0));
	check_committed(&levels, UINT64_MAX);
	budget_give_back(&levels.vm, UINT64_MAX);
	check_committed(&levels, 0);
	levels_init(&levels, 100, 100, 100);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 1));
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, UINT64_MAX), &levels.vm);
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, 100), &levels.vm);
	check_committed(&levels, 1);
}

/* Two VMs share what is above them. */
static void test_siblings(void)
{
	struct levels levels;
	struct budget other = {.scope = "vm", .limit = 80, .within = &levels.node};

	levels_init(&levels, 100, 100, 80);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 80));
	CU_ASSERT_PTR_EQUAL(budget_charge(&other, 21), &levels.node);
	CU_ASSERT_EQUAL(other.committed, 0);
	CU_ASSERT_PTR_NULL(budget_charge(&other, 20));
	CU_ASSERT_EQUAL(levels.host.committed, 100);
	budget_give_back(&levels.vm, 80);
	CU_ASSERT_EQUAL(levels.host.committed, 20);
	CU_ASSERT_PTR_NULL(budget_charge(&other, 60));
	CU_ASSERT_EQUAL(levels.host.committed, 80);
}

/* Promises */

static void test_promise(void)
{
	struct levels levels;
	struct budget other = {.scope = "vm", .limit = BUDGET_UNLIMITED, .within = &levels.node};

	levels_init(&levels, 100, 100, 80);
	CU_ASSERT_PTR_NULL(budget_promise(&levels.vm));
	CU_ASSERT_TRUE(levels.vm.is_promised);
	CU_ASSERT_TRUE(levels.host.committed == 80 && levels.host.promised == 80);
	CU_ASSERT_PTR_NULL(budget_promise(&other));
	CU_ASSERT_FALSE(other.is_promised);
	CU_ASSERT_PTR_EQUAL(budget_charge(&other, 21), &levels.node);
	CU_ASSERT_PTR_NULL(budget_charge(&other, 20));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 80));
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, 1), &levels.vm);
	CU_ASSERT_TRUE(levels.host.committed == 100 && levels.vm.committed == 80);
	budget_give_back(&levels.vm, 80);
	CU_ASSERT_TRUE(levels.host.committed == 100 && levels.vm.committed == 0);
	budget_end_promise(&levels.vm);
	CU_ASSERT_TRUE(levels.host.committed == 20 && levels.host.promised == 0);
	budget_end_promise(&levels.vm);
	budget_give_back(&other, 20);
	check_committed(&levels, 0);
}

static void test_promise_refused(void)
{
	static const struct {
		uint64_t host, node, taken;
		const char *scope;
	} rows[] = {{99, 200, 0, "host"}, {200, 99, 0, "node"}, {99, 99, 0, "node"},
		{149, 150, 50, "host"}, {150, 149, 50, "node"}, {150, 150, 50, ""}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct levels levels;
		struct budget other = {
			.scope = "vm", .limit = BUDGET_UNLIMITED, .within = &levels.node};
		const struct budget *refused;

		levels_init(&levels, rows[i].host, rows[i].node, 100);
		CU_ASSERT_PTR_NULL(budget_charge(&other, rows[i].taken));
		refused = budget_promise(&levels.vm);
		UNIT_ASSERT_ROW(strcmp(refused ? refused->scope : "", rows[i].scope) == 0,
			"row %zu: %s", i, refused ? refused->scope : "promised");
		CU_ASSERT_EQUAL(levels.vm.is_promised, !refused);
		CU_ASSERT_EQUAL(levels.node.committed, rows[i].taken + (refused ? 0 : 100));
		CU_ASSERT_EQUAL(levels.host.committed, levels.node.committed);
		CU_ASSERT_EQUAL(levels.host.promised, refused ? 0u : 100u);
	}
}

/* What is committed before a promise is part of it; what is left after its end stays charged. */
static void test_promise_around_charges(void)
{
	struct levels levels;

	levels_init(&levels, 100, 100, 90);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 30));
	CU_ASSERT_PTR_NULL(budget_promise(&levels.vm));
	CU_ASSERT_TRUE(levels.vm.committed == 30 && levels.host.committed == 90);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 20));
	budget_end_promise(&levels.vm);
	check_committed(&levels, 50);
	budget_give_back(&levels.vm, 50);
	check_committed(&levels, 0);
}

/* A promise within a promise, begun and ended in each order. */
static void test_promises_nested(void)
{
	for (int order = 0; order < 4; order++) {
		struct levels levels;
		struct budget *first = order & 1 ? &levels.vm : &levels.node;
		struct budget *last = order & 2 ? &levels.vm : &levels.node;

		levels_init(&levels, 100, 70, 40);
		CU_ASSERT_PTR_NULL(budget_promise(first));
		CU_ASSERT_PTR_NULL(budget_promise(first == &levels.vm ? &levels.node : &levels.vm));
		CU_ASSERT_TRUE(levels.host.committed == 70 && levels.host.promised == 70);
		CU_ASSERT_TRUE(levels.node.committed == 40 && levels.node.promised == 40);
		CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 40));
		CU_ASSERT_EQUAL(levels.host.committed, 70);
		budget_end_promise(last == &levels.vm ? &levels.node : &levels.vm);
		UNIT_ASSERT_ROW(levels.host.promised == (last == &levels.vm ? 40u : 70u) &&
					levels.host.committed == levels.host.promised,
			"order %d: %llu", order, (unsigned long long)levels.host.promised);
		budget_end_promise(last);
		check_committed(&levels, 40);
		CU_ASSERT_EQUAL(levels.host.promised + levels.node.promised, 0);
		budget_give_back(&levels.vm, 40);
		check_committed(&levels, 0);
	}
}

/* Many VMs at random on two nodes and on none, beside a plain sum. */

#define RANDOM_VMS 24

struct random_host {
	struct budget host, nodes[2], vms[RANDOM_VMS];
};

static void random_host_init(struct random_host *host)
{
	host->host = (struct budget){.scope = "host", .limit = 1500};
	for (int i = 0; i < 2; i++)
		host->nodes[i] =
			(struct budget){.scope = "node", .limit = 1000, .within = &host->host};
	for (int i = 0; i < RANDOM_VMS; i++)
		host->vms[i] = (struct budget){
			.scope = "vm",
			.limit = i % 4 == 3 ? BUDGET_UNLIMITED : (uint64_t)random() % 300,
			.within = i % 3 == 2 ? &host->host : &host->nodes[i % 3],
		};
}

/* What a level above should hold: promises whole, and what VMs without one, or beyond one, have
 * committed. */
static void check_level(
	const struct random_host *host, const struct budget *level, bool anyway, unsigned seed)
{
	uint64_t committed = 0, promised = 0;

	for (int i = 0; i < RANDOM_VMS; i++) {
		const struct budget *vm = &host->vms[i];

		if (vm->within != level && vm->within->within != level)
			continue;
		committed +=
			vm->is_promised && vm->committed < vm->limit ? vm->limit : vm->committed;
		promised += vm->is_promised ? vm->limit : 0;
	}
	UNIT_ASSERT_ROW(level->committed == committed && level->promised == promised &&
				(anyway || committed <= level->limit),
		"seed %u: a %s has %llu and promised %llu, expected %llu and %llu", seed,
		level->scope, (unsigned long long)level->committed,
		(unsigned long long)level->promised, (unsigned long long)committed,
		(unsigned long long)promised);
}

static void check_host(const struct random_host *host, bool anyway, unsigned seed)
{
	check_level(host, &host->host, anyway, seed);
	check_level(host, &host->nodes[0], anyway, seed);
	check_level(host, &host->nodes[1], anyway, seed);
	for (int i = 0; i < RANDOM_VMS; i++)
		CU_ASSERT_TRUE(anyway || host->vms[i].committed <= host->vms[i].limit);
}

/* Returns whether it was refused. */
static bool random_step(struct budget *vm, bool anyway)
{
	uint64_t bytes = (uint64_t)random() % 200;

	switch (random() % (anyway ? 5 : 4)) {
	case 4:
		budget_charge_anyway(vm, bytes);
		return false;
	case 0:
		return !vm->is_promised && budget_promise(vm);
	case 1:
		budget_end_promise(vm);
		return false;
	case 2:
		budget_give_back(vm, bytes < vm->committed ? bytes : vm->committed);
		return false;
	default:
		return budget_charge(vm, bytes) != NULL;
	}
}

static void run_random(unsigned seed, bool anyway)
{
	struct random_host host, before;
	unsigned refusals = 0;

	srandom(seed);
	random_host_init(&host);
	for (int i = 0; i < 2000; i++) {
		before = host;
		if (random_step(&host.vms[random() % RANDOM_VMS], anyway)) {
			refusals++;
			CU_ASSERT_EQUAL(memcmp(&host, &before, sizeof host), 0);
		}
		check_host(&host, anyway, seed);
	}
	CU_ASSERT_TRUE(refusals > 0);
	for (int i = 0; i < RANDOM_VMS; i++) {
		budget_give_back(&host.vms[i], host.vms[i].committed);
		budget_end_promise(&host.vms[i]);
	}
	CU_ASSERT_EQUAL(host.host.committed + host.host.promised, 0);
	check_host(&host, anyway, seed);
}

static void test_random(void)
{
	for (unsigned seed = 1; seed <= 20; seed++) {
		run_random(seed, /* anyway= */ false);
		run_random(seed, /* anyway= */ true);
	}
}

/* A promise that is changed is as if the new one had been made, or nothing has happened. */
static void test_set_limit(void)
{
	struct levels levels;

	levels_init(&levels, 100, 90, 50);
	CU_ASSERT_PTR_NULL(budget_promise(&levels.vm));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 40));
	CU_ASSERT_PTR_EQUAL(budget_set_limit(&levels.vm, 91), &levels.node);
	CU_ASSERT_TRUE(
		levels.vm.limit == 50 && levels.vm.is_promised && levels.host.promised == 50);
	CU_ASSERT_PTR_NULL(budget_set_limit(&levels.vm, 90));
	CU_ASSERT_TRUE(levels.host.committed == 90 && levels.host.promised == 90);
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 50));
	CU_ASSERT_PTR_NULL(budget_set_limit(&levels.vm, 30));
	CU_ASSERT_TRUE(levels.vm.committed == 90 && levels.host.committed == 90);
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, 1), &levels.vm);
	budget_give_back(&levels.vm, 80);
	CU_ASSERT_TRUE(levels.vm.committed == 10 && levels.host.committed == 30);
	budget_end_promise(&levels.vm);
	budget_give_back(&levels.vm, 10);
	check_committed(&levels, 0);
	CU_ASSERT_TRUE(levels.host.promised == 0 && levels.node.promised == 0);
}

/* Where the host has less by now than is committed, a promise can be lowered, and is not lost. */
static void test_set_limit_beyond_host(void)
{
	struct levels levels;

	levels_init(&levels, 100, 100, 90);
	CU_ASSERT_PTR_NULL(budget_promise(&levels.vm));
	levels.host.limit = 50;
	CU_ASSERT_PTR_EQUAL(budget_set_limit(&levels.vm, 91), &levels.host);
	CU_ASSERT_TRUE(
		levels.vm.is_promised && levels.vm.limit == 90 && levels.host.promised == 90);
	CU_ASSERT_PTR_NULL(budget_set_limit(&levels.vm, 40));
	CU_ASSERT_TRUE(levels.host.committed == 40 && levels.host.promised == 40);
}

static void test_set_limit_of_unlimited(void)
{
	struct levels levels;

	levels_init(&levels, 100, 100, BUDGET_UNLIMITED);
	CU_ASSERT_PTR_NULL(budget_promise(&levels.vm));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 60));
	CU_ASSERT_PTR_EQUAL(budget_set_limit(&levels.vm, 101), &levels.node);
	CU_ASSERT_TRUE(levels.vm.limit == BUDGET_UNLIMITED && !levels.vm.is_promised);
	check_committed(&levels, 60);
	CU_ASSERT_PTR_NULL(budget_set_limit(&levels.vm, 80));
	CU_ASSERT_TRUE(levels.host.committed == 80 && levels.host.promised == 80);
	budget_give_back(&levels.vm, 60);
	budget_end_promise(&levels.vm);
	check_committed(&levels, 0);
}

/* What is there whatever the limits: beyond a promise the levels above have more of it. */
static void test_anyway(void)
{
	struct levels levels;

	levels_init(&levels, 200, 150, 100);
	CU_ASSERT_PTR_NULL(budget_promise(&levels.vm));
	CU_ASSERT_PTR_NULL(budget_charge(&levels.vm, 70));
	budget_charge_anyway(&levels.vm, 60);
	CU_ASSERT_EQUAL(levels.vm.committed, 130);
	CU_ASSERT_EQUAL(levels.host.committed, 130);
	CU_ASSERT_PTR_EQUAL(budget_refuses(&levels.vm, 0), &levels.vm);
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.vm, 1), &levels.vm);
	budget_charge_anyway(&levels.vm, 100);
	CU_ASSERT_EQUAL(levels.node.committed, 230);
	CU_ASSERT_PTR_EQUAL(budget_charge(&levels.host, 1), &levels.host);
	budget_give_back(&levels.vm, 160);
	CU_ASSERT_EQUAL(levels.vm.committed, 70);
	CU_ASSERT_EQUAL(levels.host.committed, 100);
	budget_charge_anyway(&levels.vm, 50);
	budget_end_promise(&levels.vm);
	check_committed(&levels, 120);
	CU_ASSERT_EQUAL(levels.host.promised, 0);
	budget_give_back(&levels.vm, 120);
	check_committed(&levels, 0);
}

/* A reserve is there whatever others take, and what is beyond it is shared. */
static void test_reserve(void)
{
	struct budget host = {.scope = "host", .limit = 100};
	struct budget one = {.scope = "tenant", .limit = 80, .within = &host};
	struct budget other = {.scope = "tenant", .limit = BUDGET_UNLIMITED, .within = &host};
	struct budget vm = {.scope = "vm", .limit = 30, .within = &one};

	CU_ASSERT_PTR_NULL(budget_set_reserve(&one, 40));
	CU_ASSERT_TRUE(host.committed == 40 && host.promised == 40 && host.used == 0);
	CU_ASSERT_PTR_EQUAL(budget_charge(&other, 61), &host);
	CU_ASSERT_PTR_NULL(budget_charge(&other, 60));
	CU_ASSERT_PTR_NULL(budget_promise(&vm));
	CU_ASSERT_TRUE(one.committed == 30 && one.promised == 30 && host.committed == 100);
	CU_ASSERT_PTR_NULL(budget_charge(&vm, 20));
	CU_ASSERT_TRUE(one.used == 20 && host.used == 80 && host.promised == 40);
	CU_ASSERT_PTR_NULL(budget_charge(&one, 10));
	CU_ASSERT_PTR_EQUAL(budget_charge(&one, 1), &host);
	budget_give_back(&other, 60);
	CU_ASSERT_PTR_NULL(budget_charge(&one, 40));
	CU_ASSERT_PTR_EQUAL(budget_charge(&one, 1), &one);
	CU_ASSERT_TRUE(host.committed == 80 && host.promised == 40);
	CU_ASSERT_PTR_EQUAL(budget_set_reserve(&one, 101), &host);
	CU_ASSERT_EQUAL(one.reserve, 40);
	CU_ASSERT_PTR_NULL(budget_set_reserve(&one, 0));
	CU_ASSERT_TRUE(host.committed == 80 && host.promised == 30);
	budget_give_back(&one, 50);
	budget_give_back(&vm, 20);
	budget_end_promise(&vm);
	CU_ASSERT_TRUE(host.committed + host.promised + host.used == 0);
}

/* A limit that is lowered below a promise within it bounds what is charged there, too. */
static void test_bounded_promise(void)
{
	struct budget host = {.scope = "host", .limit = 100};
	struct budget tenant = {
		.scope = "tenant", .limit = 80, .bounds_reserves = true, .within = &host};
	struct budget vm = {.scope = "vm", .limit = 60, .within = &tenant};

	CU_ASSERT_PTR_NULL(budget_promise(&vm));
	CU_ASSERT_PTR_NULL(budget_charge(&vm, 20));
	CU_ASSERT_PTR_NULL(budget_set_limit(&tenant, 30));
	CU_ASSERT_PTR_EQUAL(budget_charge(&vm, 11), &tenant);
	CU_ASSERT_PTR_NULL(budget_charge(&vm, 10));
	CU_ASSERT_TRUE(tenant.used == 30 && tenant.committed == 60);
	tenant.lifted = true;
	CU_ASSERT_PTR_NULL(budget_charge(&vm, 1));
}

static void test_move(void)
{
	struct budget host = {.scope = "host", .limit = 100};
	struct budget one = {.scope = "tenant", .limit = 80, .within = &host};
	struct budget other = {.scope = "tenant", .limit = 30, .within = &host};
	struct budget vm = {.scope = "vm", .limit = 40, .within = &one};

	CU_ASSERT_PTR_NULL(budget_promise(&vm));
	CU_ASSERT_PTR_NULL(budget_charge(&vm, 20));
	CU_ASSERT_PTR_EQUAL(budget_move(&vm, &other, vm.limit), &other);
	CU_ASSERT_TRUE(one.committed == 40 && one.promised == 40 && one.used == 20);
	other.limit = 40;
	CU_ASSERT_PTR_NULL(budget_move(&vm, &other, vm.limit));
	CU_ASSERT_TRUE(one.committed + one.promised + one.used == 0);
	CU_ASSERT_TRUE(other.committed == 40 && other.promised == 40 && other.used == 20);
	CU_ASSERT_TRUE(host.committed == 40 && host.promised == 40 && host.used == 20);
}

/* Where the host is beyond its limit, what it has already it has still; another limit is a part of
 * the same step. */
static void test_move_with_limit(void)
{
	struct budget host = {.scope = "host", .limit = 100};
	struct budget one = {.scope = "tenant", .limit = 80, .within = &host};
	struct budget other = {.scope = "tenant", .limit = 80, .within = &host};
	struct budget vm = {.scope = "vm", .limit = BUDGET_UNLIMITED, .within = &one};

	CU_ASSERT_PTR_NULL(budget_set_reserve(&one, 30));
	CU_ASSERT_PTR_NULL(budget_charge(&vm, 40));
	host.limit = 40;
	CU_ASSERT_PTR_EQUAL(budget_move(&vm, &other, vm.limit), &host);
	CU_ASSERT_TRUE(host.committed == 40 && one.committed == 40 && other.committed == 0);
	CU_ASSERT_PTR_NULL(budget_set_reserve(&one, 0));
	host.limit = 10;
	CU_ASSERT_PTR_NULL(budget_move(&vm, &other, vm.limit));
	CU_ASSERT_PTR_EQUAL(budget_move(&vm, &one, 41), &host);
	CU_ASSERT_TRUE(vm.within == &other && vm.limit == BUDGET_UNLIMITED && !vm.is_promised);
	CU_ASSERT_PTR_NULL(budget_move(&vm, &one, 40));
	CU_ASSERT_TRUE(vm.is_promised && vm.reserve == 40 && host.promised == 40);
	CU_ASSERT_PTR_EQUAL(budget_move(&vm, &other, 50), &host);
	budget_give_back(&vm, 40);
	budget_end_promise(&vm);
	CU_ASSERT_TRUE(host.committed + host.promised + host.used == 0);
}

/* What both are within refuses nothing, be it more than its limit by now; what the new one alone is
 * within does. */
static void test_hand_over(void)
{
	struct budget host = {.scope = "host", .limit = 100};
	struct budget tenant = {.scope = "tenant", .limit = 50, .within = &host};
	struct budget reserved = {.scope = "reservation", .limit = 60, .within = &host};
	struct budget vm = {.scope = "vm", .limit = 51, .within = &tenant};

	CU_ASSERT_PTR_NULL(budget_promise(&reserved));
	host.limit = 10;
	CU_ASSERT_PTR_EQUAL(budget_hand_over_refused(&reserved, &vm), &tenant);
	CU_ASSERT_TRUE(host.committed == 60 && host.promised == 60 && reserved.is_promised);
	vm.limit = 50;
	CU_ASSERT_PTR_NULL(budget_hand_over_refused(&reserved, &vm));
	CU_ASSERT_TRUE(host.committed == 60 && tenant.committed == 0 && tenant.promised == 0);
	budget_hand_over(&reserved, &vm);
	CU_ASSERT_TRUE(vm.is_promised && !reserved.is_promised);
	CU_ASSERT_TRUE(host.committed == 50 && host.promised == 50);
	CU_ASSERT_TRUE(tenant.committed == 50 && tenant.promised == 50);
	CU_ASSERT_PTR_NULL(budget_charge(&vm, 50));
	CU_ASSERT_PTR_EQUAL(budget_charge(&vm, 1), &vm);
	budget_give_back(&vm, 50);
	budget_end_promise(&vm);
	CU_ASSERT_TRUE(host.committed == 0 && host.promised == 0 && tenant.committed == 0);
}

/* Within a tenant's reserve that both are in, and that hides them from the host. */
static void test_hand_over_in_reserve(void)
{
	struct budget host = {.scope = "host", .limit = 100};
	struct budget tenant = {.scope = "tenant", .limit = 90, .within = &host};
	struct budget reserved = {.scope = "reservation", .limit = 60, .within = &tenant};
	struct budget vm = {.scope = "vm", .limit = 40, .within = &tenant};

	CU_ASSERT_PTR_NULL(budget_set_reserve(&tenant, 50));
	CU_ASSERT_PTR_NULL(budget_promise(&reserved));
	CU_ASSERT_EQUAL(host.committed, 60);
	tenant.limit = 10;
	CU_ASSERT_PTR_NULL(budget_hand_over_refused(&reserved, &vm));
	budget_hand_over(&reserved, &vm);
	CU_ASSERT_TRUE(tenant.committed == 40 && host.committed == 50 && host.promised == 50);
	budget_end_promise(&vm);
	CU_ASSERT_TRUE(tenant.committed == 0 && host.committed == 50);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"all levels", test_all_levels},
		{"refusals", test_refusals},
		{"edges", test_edges},
		{"siblings", test_siblings},
		{"a promise", test_promise},
		{"promises refused", test_promise_refused},
		{"promises around charges", test_promise_around_charges},
		{"promises within promises", test_promises_nested},
		{"another limit", test_set_limit},
		{"another limit on a host that has less", test_set_limit_beyond_host},
		{"a limit where there was none", test_set_limit_of_unlimited},
		{"what is there whatever the limits", test_anyway},
		{"a reserve", test_reserve},
		{"a limit below a promise", test_bounded_promise},
		{"within another", test_move},
		{"within another, with another limit", test_move_with_limit},
		{"a promise handed over", test_hand_over},
		{"a promise handed over in a reserve", test_hand_over_in_reserve},
		{"charges and promises at random", test_random},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "budget", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
