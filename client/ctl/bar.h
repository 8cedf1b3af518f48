/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Progress of what takes long: a bar that is redrawn on a terminal, else a line a second.
 */
#pragma once

#include "client/ctl/program.h"

struct bar {
	const struct ctl *ctl;
	const char *what;
	bool terminal;
	uint64_t began, shown; /* microseconds */
};

/* what must outlive it. */
void bar_begin(struct bar *bar, const struct ctl *ctl, const char *what);
void bar_show(struct bar *bar, uint64_t done, uint64_t total);
/* The last that is shown of it, in any case. */
void bar_end(struct bar *bar, uint64_t done, uint64_t total);
