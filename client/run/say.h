/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a launcher says on stderr, and what it exits with.
 */
#pragma once

enum {
	EXIT_USAGE = 2,
	EXIT_FAILED = 125, /* no gmemd, or it refused */
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

/* This program's name, which every sentence begins with. Each main has its own. */
extern const char run_program[];

/* what: anything that was given to us. */
void say_error(const char *what, const char *why);
/* Why a call of libgmem's failed; returns EXIT_FAILED. */
int say_call_failed(const char *what, int r);
