/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views of a file. See file_view.h.
 */
#include "kernel/host/file_view.h"

#include <errno.h>
#include <stdlib.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/maps_record.h"

/* Up to which address each view has been found, mapping after mapping: they come in the order of
 * their addresses. */
struct look {
	const struct file_view *views;
	size_t count;
	uint64_t reached[FILE_VIEWS_MAX];
};

static bool goes_on(
	const struct file_view *view, uint64_t reached, const struct maps_record *record)
{
	if (reached < record->start || reached >= record->end || record->permissions[3] != 's' ||
		file_identity_compare(&record->file, &view->file) != 0)
		return false;
	return record->offset + (reached - record->start) ==
	       view->offset + (reached - view->address);
}

static void take_record(struct look *look, const struct maps_record *record)
{
	for (size_t i = 0; i < look->count; i++) {
		const struct file_view *view = &look->views[i];
		uint64_t end = view->address + view->length;

		if (look->reached[i] < end && goes_on(view, look->reached[i], record))
			look->reached[i] = record->end < end ? record->end : end;
	}
}

int file_views_look_in(FILE *maps, const struct file_view *views, size_t count, uint64_t *ret_shown)
{
	struct look look = {.views = views, .count = count};
	struct maps_record record;
	cleanup_free char *line = NULL;
	uint64_t shown = 0;
	size_t size = 0;

	if (count > FILE_VIEWS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		look.reached[i] = views[i].address;
	while (getline(&line, &size, maps) > 0) {
		if (maps_record_parse(line, &record))
			take_record(&look, &record);
	}
	if (ferror(maps))
		return -EIO;
	for (size_t i = 0; i < count; i++)
		shown |= (uint64_t)(look.reached[i] == views[i].address + views[i].length) << i;
	*ret_shown = shown;
	return 0;
}

int file_views_look(pid_t process, const struct file_view *views, size_t count, uint64_t *ret_shown)
{
	cleanup_file FILE *maps = NULL;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/maps", process);
	maps = fopen(path, "re");
	return maps ? file_views_look_in(maps, views, count, ret_shown) : -errno;
}
