/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of VMs on the terminal: as much of it as there is room for, and one that is selected.
 */
#pragma once

#include "client/ctl/top/frame.h"
#include "client/ctl/top/view.h"

struct list {
	char filter[64];
	bool editing;      /* what is typed goes to the filter */
	char selected[32]; /* its id; "": the first */
	size_t at;         /* where that is, or was */
	size_t first;      /* that is shown */
	size_t count;      /* that fit the filter, when it was drawn last */
	size_t page;       /* that there was room for then */
};

void list_draw(
	const struct ctl *ctl, const struct view *view, struct list *list, struct frame *frame);
/* Returns whether it is a key of the list's. */
bool list_key(const struct ctl *ctl, const struct view *view, struct list *list, int key);
