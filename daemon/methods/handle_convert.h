/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memory.convert and slot.bind share.
 */
#pragma once

#include "daemon/request/request.h"

/* Has a slot's frames made private by one call; *ret is NULL where they are. */
int request_convert_slot(struct request *request, const struct slot *slot, struct call **ret);
