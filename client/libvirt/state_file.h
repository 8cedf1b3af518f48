/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file by which gmemctl domains knows what gmemd-libvirt has read: one JSON object.
 */
#pragma once

#include <stdbool.h>

#include "client/libvirt/domain.h"

struct state {
	const char *uri;     /* libvirt's */
	bool libvirt, gmemd; /* whether it is there */
	struct domain_tree *domains;
};

/* In the place of the one before, which readers have whole until then. A negative errno. */
int state_file_write(const char *path, const struct state *state);
