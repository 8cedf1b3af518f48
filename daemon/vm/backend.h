/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Back ends: who carries out what gmemd has decided.
 *
 * With KVM the VMM must trigger what is written into its mailbox, and report it; the model does it
 * at once. Whoever asks for a call handles both: a kernel that lets gmemd itself do what a VMM does
 * today is one more way to answer "done".
 */
#pragma once

#include <stdbool.h>

struct call;
struct vm;

enum call_progress {
	CALL_CARRIED_OUT, /* all is done */
	CALL_SUBMITTED,   /* the VMM must trigger it and report */
};

struct backend {
	const char *name;  /* as in host.describe */
	bool needs_gate;   /* a VMM could do something else than it is told */
	bool runs_at_once; /* a VM does, once it is opened */
	/* Sets up what it keeps of a VM. */
	int (*open)(struct vm *vm);
	/* Its memories are gone. Takes one that was not set up, too. */
	void (*close)(struct vm *vm);
	/*
	 * CALL_SUBMITTED where the VMM must trigger it, CALL_CARRIED_OUT where that is done. Of a
	 * conversion it may take the first ranges alone, and sets call->count to how many; there is
	 * room for the others then. -EBUSY where too many wait to be reported, -E2BIG where there
	 * is room for a change, but not in one place; else what the ioctl fails with.
	 */
	int (*submit)(struct call *call);
	/* The call is over, or will not be. */
	void (*withdraw)(struct call *call);
};

extern const struct backend backend_kvm;
extern const struct backend backend_model;
