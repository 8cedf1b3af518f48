/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verifications: checking a VMM's mapping of its mailbox, which takes as long as the VMM makes its
 * own memory map slow to read.
 */
#pragma once

#include "daemon/gmemd.h"
#include "kernel/gate.h"
#include "kernel/mapping.h"

struct verification {
	char vm[32]; /* its id: the VM may be gone by the end */
	struct gate_trap trap;
	struct mapping_expected expected;
	int result;         /* of mapping_verify() */
	const char *reason; /* a constant, where the result is negative */
	void *context;      /* of who started it */
};

typedef void verification_done(struct gmemd *gmemd, const struct verification *verification);

/* Copies what is to be checked; done is called from the event loop. Errors are errand_start()'s. */
int verification_start(
	struct gmemd *gmemd, const struct verification *verification, verification_done *done);
