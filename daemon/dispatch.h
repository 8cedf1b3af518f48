/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dispatch: from a packet to the methods it asks for, and to the packet that answers it.
 */
#pragma once

#include "daemon/handler.h"

/* Requests in a batch, at most: so that their answers fit one packet, and one peer's packet is soon
 * done with. */
#define BATCH_REQUESTS_MAX 64

/*
 * Carries out what the packet asks for. The fds that it takes are the packet's no more. Returns the
 * answer, to be freed by json_unref(), with the fds that go with it, to be closed, in *ret_fds;
 * NULL where there is nothing to answer.
 */
struct json_object *dispatch_packet(struct gmemd *gmemd, const struct caller *caller,
	struct packet *packet, struct fd_list *ret_fds);
