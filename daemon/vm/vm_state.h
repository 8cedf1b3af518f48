/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's life: where in it a VM is, and where it can go from there.
 *
 *            vm.open           its gate lets it be made
 *  making ------------> opening ----------------------> running
 *    |                     |    <----------------------    |
 *    | refused             |       which then failed       |
 *    |                     |  vm.close, its process ends   |
 *    +---------------------+-------------------------------+
 *    v
 *  released <----> releasing
 *    |      pages are given back
 *    v
 *  remaining
 *
 * vm.resume makes one that runs, and so does the model. A VM is freed in whichever state it is.
 * Peers are told less than there is: see vm_state_name().
 *
 * Its gate has a life of its own within that.
 */
#pragma once

#include <stdbool.h>

enum vm_state {
	/* By a request that is not done: a successor finds no VM. */
	VM_MAKING,
	/* Its KVM_CREATE_VM is to come. */
	VM_OPENING,
	/* It was made, as far as gmemd can know. */
	VM_RUNNING,
	/* It has no memory, slot or call. While its process lives, its gate refuses. */
	VM_RELEASED,
	/* The same, and pages of its memories are still being given back. */
	VM_RELEASING,
	/* Its process has ended, or has another VM. Its closed memories are watched. */
	VM_REMAINING,
	VM_STATES,
};

/* Their numbers are in ledgers. */
enum vm_gate_state {
	VM_GATE_NONE,    /* the VM does without one */
	VM_GATE_PENDING, /* its listener was not handed over, or its VM was not made yet */
	VM_GATE_ACTIVE,  /* its VM was made behind it */
	VM_GATE_LOST,    /* it stands, but its listener is gone: what it traps fails */
	VM_GATE_STATES,
};

/* As peers are told. */
const char *vm_state_name(enum vm_state state);
const char *vm_gate_state_name(enum vm_gate_state state);

/* Whether one can follow on the other. */
bool vm_state_may_change(enum vm_state from, enum vm_state to);
bool vm_gate_state_may_change(enum vm_gate_state from, enum vm_gate_state to);

/* Nothing else writes a state but what makes a VM. */
void vm_state_change(enum vm_state *state, enum vm_state to);
void vm_gate_state_change(enum vm_gate_state *state, enum vm_gate_state to);
