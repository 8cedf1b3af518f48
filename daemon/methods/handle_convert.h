/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memory.convert, slot.bind and slot.change share.
 */
#pragma once

#include "daemon/request/request.h"

/* Has a slot's frames made private by one call; *ret is NULL where they are. */
int request_convert_slot(struct request *request, const struct slot *slot, struct call **ret);
/* Takes that back, before it is answered. */
void request_undo_convert(struct call *take_call);
