/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers in pages. See paged.h.
 */
#include "client/common/paged.h"

#include <string.h>

#include "protocol/json.h"

#define CURSOR "cursor"

void paged_clear(struct paged *paged)
{
	cursors_clear(&paged->cursors);
	json_unref(paged->last);
	json_unref(paged->whole);
	*paged = (struct paged){.whole = NULL};
}

void paged_add_cursor(const struct paged *paged, struct json_object *params)
{
	if (paged->cursor)
		json_add_string(params, CURSOR, paged->cursor);
}

static bool join_member(const char *name, struct json_object *value, void *context)
{
	struct json_object *whole = context;
	struct json_object *array = json_get(whole, name);

	if (strcmp(name, CURSOR) == 0)
		return true;
	if (!json_has(whole, name)) {
		json_add(whole, name, json_ref(value));
		return true;
	}
	for (size_t i = 0; json_is_array(array) && i < json_length(value); i++)
		json_append(array, json_ref(json_at(value, i)));
	return true;
}

int paged_add(struct paged *paged, struct json_object *page)
{
	int r;

	if (!paged->whole)
		paged->whole = json_new_object();
	json_each(page, join_member, paged->whole);
	json_unref(paged->last);
	paged->last = json_ref(page);
	paged->cursor = json_get_string(page, CURSOR);
	if (paged->cursor[0] == '\0') {
		paged->cursor = NULL;
		return 0;
	}
	r = cursors_note(&paged->cursors, paged->cursor);
	return r < 0 ? r : 1;
}
