/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replays: a predecessor's answer, with its files, to a request that it has carried out.
 */
#pragma once

#include "daemon/request/request.h"

/* The answer to the request, with its files; false where a predecessor owed none. *ret is NULL
 * where it was to have none. */
bool replay_inherited(struct request *request, struct json_object **ret);
