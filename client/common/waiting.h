/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that waits for gmemd does not do so in silence, nor for ever: after two seconds it says
 * for whom it waits and why, and after a limit it gives up.
 *
 * A thread watches the time, for whoever waits sits in a call of libgmem's or of the kernel's.
 */
#pragma once

#include <stdbool.h>

/* Of what is told. */
#define WAITING_MESSAGE_MAX 768

struct waiting_plan {
	const char *socket; /* that gmemd's is */
	unsigned limit;     /* seconds; 0: none */
	int status;         /* that the program then exits with */
	/* What gmemd has received is waited for without a limit. */
	bool patient;
	/* Tells the user, from another thread. given_up: and the program ends. */
	void (*tell)(void *context, bool given_up, const char *message);
	void *context;
};

struct waiting;

/* From now on; the plan must stay. NULL where there can be no thread: then the caller waits in
 * silence. */
struct waiting *waiting_begin(const struct waiting_plan *plan);
/* What it waits at from now on; fd stays the caller's. Takes NULL. */
void waiting_at(struct waiting *waiting, int fd);
/* It waits no more. Takes NULL, returns NULL. */
struct waiting *waiting_end(struct waiting *waiting);
