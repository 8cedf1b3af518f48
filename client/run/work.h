/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One piece of work with gmemd, for which a launcher waits neither in silence nor for ever.
 */
#pragma once

#include <stdint.h>

struct gmem;

struct work {
	const char *socket;
	unsigned timeout; /* seconds; 0: none */
	const char *what; /* it does, for people: "opening the VM" */
	/* 0 or a negative errno, after which gmem_last_message() says why. */
	int (*run)(struct gmem *gmem, void *context);
	void *context;
};

/* Connects and has it done. *ret_gmem is the caller's. What fails has been said on stderr. */
int work_with_gmemd(const struct work *work, struct gmem **ret_gmem);
