/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dispatch: from a packet to the methods it asks for, and to the packet that answers it.
 */
#pragma once

#include "daemon/request/batch.h"

/*
 * Carries out what the packet asks for. Returns the answer, to be freed by json_unref(), with the
 * fds that go with it, to be closed, in *ret_fds; NULL where there is nothing to answer, or not
 * yet: then the caller is sent it later.
 */
struct json_object *dispatch_packet(struct gmemd *gmemd, struct caller *caller,
	const struct packet_bytes *packet, struct fd_list *ret_fds);
