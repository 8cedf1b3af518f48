/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cursors. See cursors.h.
 */
#include "protocol/cursors.h"

#include <errno.h>

#include "protocol/json.h"

void cursors_clear(struct cursors *cursors)
{
	cursors->seen = json_unref(cursors->seen);
}

int cursors_note(struct cursors *cursors, const char *cursor)
{
	if (!cursors->seen)
		cursors->seen = json_new_object();
	if (!cursors->seen)
		return -ENOMEM;
	if (json_has(cursors->seen, cursor))
		return -ELOOP;
	json_add_null(cursors->seen, cursor);
	return 0;
}
