/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child behind the gate, as a VMM is: the mailbox mapped for good, the filter installed, its
 * listener in the hands of the test.
 */
#pragma once

#include <stdbool.h>

#include "kernel/kvm/gate.h"
#include "kernel/kvm/mailbox.h"
#include "tests/lib/unit.h"

struct gated {
	struct unit_child child;
	int listener;
	/* What runs in the child. */
	struct mailbox *mailbox;
	void (*prepare)(void *context); /* before the gate, NULL for nothing */
	void (*body)(void *context);    /* behind it */
	void *context;
	int socket;
};

/* Starts the child. Where this kernel can't hold a gate, skips the current test and returns
 * false. */
bool gated_start(struct gated *gated);
/* Waits up to some seconds for the next trapped call. A test that gets none has failed, and false
 * is returned. */
bool gated_next(struct gated *gated, struct gate_trap *ret_trap);
/* Closes the listener and ends the child as unit_child_end() does. */
void gated_end(struct gated *gated, int expected_signal);
