/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's life: every change that there is, that there is no other, and what peers are told.
 */
#include "daemon/vm/vm_state.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/unit.h"

static const struct {
	enum vm_state from, to;
} changes[] = {
	{VM_MAKING, VM_OPENING},
	{VM_MAKING, VM_RUNNING},
	{VM_MAKING, VM_RELEASED},
	{VM_OPENING, VM_RUNNING},
	{VM_OPENING, VM_RELEASED},
	{VM_RUNNING, VM_OPENING},
	{VM_RUNNING, VM_RELEASED},
	{VM_RELEASED, VM_RELEASING},
	{VM_RELEASED, VM_REMAINING},
	{VM_RELEASING, VM_RELEASED},
};

static const struct {
	enum vm_gate_state from, to;
} gate_changes[] = {
	{VM_GATE_PENDING, VM_GATE_ACTIVE},
	{VM_GATE_ACTIVE, VM_GATE_PENDING},
	{VM_GATE_ACTIVE, VM_GATE_LOST},
};

static bool is_change(enum vm_state from, enum vm_state to)
{
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		if (changes[i].from == from && changes[i].to == to)
			return true;
	}
	return false;
}

static bool is_gate_change(enum vm_gate_state from, enum vm_gate_state to)
{
	for (size_t i = 0; i < sizeof gate_changes / sizeof *gate_changes; i++) {
		if (gate_changes[i].from == from && gate_changes[i].to == to)
			return true;
	}
	return false;
}

static void test_changes(void)
{
	for (enum vm_state from = 0; from < VM_STATES; from++) {
		for (enum vm_state to = 0; to < VM_STATES; to++) {
			enum vm_state state = from;

			UNIT_ASSERT_ROW(vm_state_may_change(from, to) == is_change(from, to),
				"from %u to %u", from, to);
			if (!is_change(from, to))
				continue;
			vm_state_change(&state, to);
			CU_ASSERT_EQUAL(state, to);
		}
	}
}

static void test_gate_changes(void)
{
	for (enum vm_gate_state from = 0; from < VM_GATE_STATES; from++) {
		for (enum vm_gate_state to = 0; to < VM_GATE_STATES; to++) {
			enum vm_gate_state state = from;

			UNIT_ASSERT_ROW(
				vm_gate_state_may_change(from, to) == is_gate_change(from, to),
				"from %u to %u", from, to);
			if (!is_gate_change(from, to))
				continue;
			vm_gate_state_change(&state, to);
			CU_ASSERT_EQUAL(state, to);
		}
	}
}

/* A gmemd that has lost its way ends, and its successor begins from what was committed. */
static void test_no_change(void)
{
	const struct rlimit no_core = {0, 0};
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		enum vm_state state = VM_REMAINING;

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		vm_state_change(&state, VM_RUNNING);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_names(void)
{
	static const char *const names[VM_STATES] = {
		"opening", "opening", "running", "released", "released", "released"};
	static const char *const gate_names[VM_GATE_STATES] = {"none", "pending", "active", "lost"};

	for (enum vm_state state = 0; state < VM_STATES; state++)
		CU_ASSERT_STRING_EQUAL(vm_state_name(state), names[state]);
	for (enum vm_gate_state state = 0; state < VM_GATE_STATES; state++)
		CU_ASSERT_STRING_EQUAL(vm_gate_state_name(state), gate_names[state]);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"changes", test_changes},
		{"changes of the gate", test_gate_changes},
		{"what is no change", test_no_change},
		{"names", test_names},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "a VM's life", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
