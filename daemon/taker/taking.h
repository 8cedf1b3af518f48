/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking files of another process, and finding out what they are. Anything here may wait for ever.
 */
#pragma once

#include <stddef.h>

#include "daemon/taker/protocol.h"
#include "daemon/taker/thread.h"

/* Those that are to be handed over, in the request's order. */
struct taken {
	size_t count;
	int fds[TAKER_FILES_MAX];
};

/*
 * Takes all files that the request names. On failure none is left, and *ret_failed is the one that
 * it is about; the errors are an answer's.
 */
int taken_take(struct taken *ret, const struct taker_process *process,
	const struct taker_message *request, uint32_t *ret_failed);
/* Closes them. */
void taken_close(struct taken *taken);
