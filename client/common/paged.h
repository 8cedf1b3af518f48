/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Joining an answer that comes in pages.
 */
#pragma once

#include "protocol/cursors.h"

/* All zeroes: no page has come. */
struct paged {
	struct json_object *whole; /* arrays of all pages; what else is there, as on the first */
	const char *cursor;        /* of the next page, in the last one; NULL: there is none */
	struct json_object *last;
	struct cursors cursors;
};

void paged_clear(struct paged *paged);
/* To the parameters of the next page's request, but for the first. */
void paged_add_cursor(const struct paged *paged, struct json_object *params);
/* 1: there are more; 0: that was the last; -ELOOP where its cursor came before, -ENOMEM. */
int paged_add(struct paged *paged, struct json_object *page);
