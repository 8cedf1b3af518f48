/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's life, as tables. See vm_state.h.
 */
#include "daemon/vm/vm_state.h"

#include <assert.h>

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[VM_STATES] = {
	[VM_MAKING] = {"opening", TO(VM_OPENING) | TO(VM_RUNNING) | TO(VM_RELEASED)},
	[VM_OPENING] = {"opening", TO(VM_RUNNING) | TO(VM_RELEASED)},
	[VM_RUNNING] = {"running", TO(VM_OPENING) | TO(VM_RELEASED)},
	[VM_RELEASED] = {"released", TO(VM_RELEASING) | TO(VM_REMAINING)},
	[VM_RELEASING] = {"released", TO(VM_RELEASED)},
	[VM_REMAINING] = {"released", 0},
};

static const struct {
	const char *name;
	unsigned next;
} gate_states[VM_GATE_STATES] = {
	[VM_GATE_NONE] = {"none", 0},
	[VM_GATE_PENDING] = {"pending", TO(VM_GATE_ACTIVE)},
	[VM_GATE_ACTIVE] = {"active", TO(VM_GATE_PENDING) | TO(VM_GATE_LOST)},
	[VM_GATE_LOST] = {"lost", 0},
};

const char *vm_state_name(enum vm_state state)
{
	return states[state].name;
}

const char *vm_gate_state_name(enum vm_gate_state state)
{
	return gate_states[state].name;
}

bool vm_state_may_change(enum vm_state from, enum vm_state to)
{
	return states[from].next & TO(to);
}

bool vm_gate_state_may_change(enum vm_gate_state from, enum vm_gate_state to)
{
	return gate_states[from].next & TO(to);
}

void vm_state_change(enum vm_state *state, enum vm_state to)
{
	assert(vm_state_may_change(*state, to));
	*state = to;
}

void vm_gate_state_change(enum vm_gate_state *state, enum vm_gate_state to)
{
	assert(vm_gate_state_may_change(*state, to));
	*state = to;
}
