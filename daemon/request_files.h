/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that a request names by their numbers in the peer's process.
 */
#pragma once

#include <stddef.h>

#include "protocol/methods.h"

/* A VM's mailbox and memories. */
#define REQUEST_FILES_MAX (RESUMED_MEMORIES_MAX + 1)

struct request;

/* gmemd's copies. Owned, but for those that are -1, which were taken over. */
struct request_files {
	size_t count;
	int fds[REQUEST_FILES_MAX];
};

/*
 * Takes a copy of each file that the decoded parameters name, and puts its fd where its number was.
 * Returns 0, or the code of the error that it filled in.
 */
int request_files_take(struct request *request, const struct field *fields);
/* Closes those that were not taken over. */
void request_files_close(struct request_files *files);
