/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Batches: requests of one packet, answered by one packet.
 *
 * They are served in their order. Where an answer is deferred, the batch goes on when it is there;
 * where its owner's turn is over, in the next one.
 */
#pragma once

#include "daemon/request/serve.h"
#include "protocol/json.h"

/*
 * Serves a batch of one to BATCH_REQUESTS_MAX requests, each by its text within that of the packet.
 * Returns the array of answers; NULL where there is nothing to answer, or where it will be sent to
 * the caller later.
 */
struct json_object *batch_serve(
	struct gmemd *gmemd, struct caller *caller, const struct json_part *messages, size_t count);
