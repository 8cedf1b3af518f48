/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocator processes. See allocator_process.h.
 */
#include "daemon/prealloc/allocator_process.h"

#include "daemon/allocator/shared_progress.h"

_Static_assert(ALLOCATION_STATE == HELPER_FIRST_FILE, "handing its files over");

int allocator_process_start(
	const char *program, const struct allocator_files *files, int *ret_pidfd)
{
	const struct helper_program helper = {
		.name = "gmemd-allocator", .path = program, .standard_files = true};
	const int fds[] = {files->state, files->memory, files->entrance};
	const size_t count = ALLOCATION_FDS_END - ALLOCATION_STATE;

	return helper_process_start(
		&helper, fds, files->entrance >= 0 ? count : count - 1, ret_pidfd);
}
