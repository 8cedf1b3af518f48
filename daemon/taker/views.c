/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which views of files another process has. See views.h.
 */
#include "daemon/taker/views.h"

#include <errno.h>

#include "kernel/host/file_view.h"

_Static_assert(TAKER_VIEWS_MAX <= FILE_VIEWS_MAX, "a bit for each");

struct looking {
	struct file_view views[TAKER_VIEWS_MAX];
	size_t count;
	uint64_t shown;
};

static int look_at_thread(pid_t thread, int pidfd, void *context)
{
	struct looking *looking = context;
	int r = file_views_look(thread, looking->views, looking->count, &looking->shown);

	(void)pidfd;
	return r == -ENOENT ? -ESRCH : r;
}

int taker_views_look(const struct taker_process *process, const struct taker_message *request,
	uint64_t *ret_shown)
{
	struct looking looking = {.count = request->header.count};
	int r;

	for (size_t i = 0; i < looking.count; i++) {
		const struct taker_view *view = &request->look.views[i];

		looking.views[i] = (struct file_view){.address = view->address,
			.length = view->length,
			.offset = view->offset,
			.file = {view->device, view->inode}};
	}
	r = taker_threads_visit(process, look_at_thread, &looking);
	if (r == 0)
		*ret_shown = looking.shown;
	return r;
}
