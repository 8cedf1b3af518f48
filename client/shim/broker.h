/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that this library says to gmemd, by one thread of its own.
 *
 * A VMM's own threads have signals, and work of io_uring's, that interrupt what must not be
 * interrupted; this one has neither. What it calls of libgmem and of libc is libc's own: the
 * interposed functions see by broker_is_this_thread() that the VMM has no part in it. It holds
 * neither the books nor the slots, which who waits for it may hold.
 */
#pragma once

#include <stdbool.h>

#include "client/gmem.h"

struct settings;

/* As long as it takes. */
#define BROKER_FOR_EVER 0

struct job {
	int (*run)(void *context); /* by that thread: 0 or more, or a negative errno */
	void *context;
	const char *what;     /* it does, for who waits to read: "binding a slot" */
	unsigned patience_ms; /* without a sign of gmemd */
	/* Where it has failed: why, as a sentence, and as a word where gmemd has refused. */
	char message[1024];
	char reason[32];
};

bool broker_is_this_thread(void);

/* Starts that thread, once. */
int broker_start(const struct settings *settings);
/* Has it do that and waits for it, which is said on stderr where it takes long. Returns what run
 * has. The VMM is ended where gmemd has lost its VM for good. */
int broker_do(struct job *job);
/* The same, but waits for nothing; what fails there is said on stderr. */
void broker_post(int (*run)(void *context), void *context, const char *what);

/* The connection's number, which another one may have by now where it was lost; -1: there is none.
 * Of the others that the thread has, those that stay: up to BROKER_FILES, -1 for none. */
#define BROKER_FILES 4
int broker_connection(void);
void broker_files(int ret[static BROKER_FILES]);

/* For what runs there: NULL before the VM is open. */
struct gmem_vm *broker_vm(void);
/* Opens the VM of this process; -EREMOTEIO and such as gmem_vm_open(). A job. */
int broker_open_vm(void *unused);
