/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views: all VMs as they are at a time, and how they have changed since the view before.
 */
#pragma once

#include <stdint.h>

#include "client/ctl/program.h"
#include "client/ctl/table.h"

struct view {
	struct json_object *list; /* vm.list's result; NULL: none yet */
	uint64_t time;            /* microseconds */
};

uint64_t monotonic_us(void);

/* Takes the next view in the place of *view, with rates against it. An error has been reported. */
enum ctl_status view_renew(struct ctl *ctl, struct view *view);
void view_clear(struct view *view);

/* What VMs can be in the order of. A list ends with one without a name. */
struct order {
	char key;
	const char *name;
	struct column column;
};

extern const struct order orders[SORTS + 1];

/* The VMs of a view that fit the filter, which may be "", in that order. NULL without memory, else
 * the caller frees it; the VMs are the view's. */
struct json_object **view_rows(
	const struct ctl *ctl, const struct view *view, const char *filter, size_t *ret_count);

/* "3 VMs, committed 6G, resident 2.1G". */
void view_summary(const struct view *view, char *ret, size_t size);
