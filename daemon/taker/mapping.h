/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How another process has mapped a file. May wait for as long as that one likes.
 */
#pragma once

#include "daemon/taker/protocol.h"
#include "daemon/taker/thread.h"

/* What mapping_verify() says of the mapping that the request describes. first: the first file that
 * it names, -1 where there is none. */
int taker_mapping_verify(const struct taker_process *process, const struct taker_message *request,
	int first, const char **ret_reason);
