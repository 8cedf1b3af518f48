/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which views of files another process has. May wait for as long as that one likes.
 */
#pragma once

#include "daemon/taker/protocol.h"
#include "daemon/taker/thread.h"

/* What a LOOK asks for: file_views_look(), of whichever thread lives. */
int taker_views_look(const struct taker_process *process, const struct taker_message *request,
	uint64_t *ret_shown);
