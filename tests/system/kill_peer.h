/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the processes of the random-kill test (test_kills.py) have in common: the lines that they
 * are driven by, a counter that is seen from outside, and a watchdog over their threads.
 *
 * A process begins paused. It reads "run", "pause" and "end" and answers each with a line, when all
 * its threads have done so: "{…}", what it has, or "failed: …", and then it ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/gmem.h"

#define PEER_THREADS_MAX 4

struct peer_settings {
	const char *socket;
	const char *name;
	enum gmem_gate gate;
	uint64_t seed;
	uint64_t limit_seconds; /* of whatever a thread does at a time */
	volatile uint64_t *counter;
};

/* thread 0 is the main one; the others are started at the beginning and end with "end". */
struct peer_role {
	unsigned threads;
	void (*start)(void);
	void (*work)(unsigned thread); /* until peer_goes_on() is false */
	void (*print)(FILE *to);       /* while all others wait */
	void (*end)(void);             /* after all others */
};

extern struct peer_settings peer;

/* Returns the exit status. */
int peer_main(const struct peer_role *role);

/* Waits while the process is paused. False when it is to end. */
bool peer_goes_on(void);

/* What a thread does next, printf(3)'s, until peer_done(), which counts it, or peer_idle(). */
void peer_doing(unsigned thread, const char *format, ...) __attribute__((format(printf, 2, 3)));
void peer_done(unsigned thread);
void peer_idle(unsigned thread);

/* Says it and ends the process. */
_Noreturn void peer_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Fails where r is negative. */
void peer_need(int r, const char *what);

/* Waits for a gmemd that serves. */
struct gmem *peer_connect(void);
/* Once in a while the connection breaks, whoever uses it, while gmemd knows of the VM. */
void peer_break_sometimes(struct gmem *gmem, uint64_t *chance);

/* From 0 to below. */
uint64_t peer_random(uint64_t *state, uint64_t below);
/* Any number, always the same for these. */
uint64_t peer_mix(uint64_t number);

extern const struct peer_role load_role, guest_role, operator_role, convert_role;
