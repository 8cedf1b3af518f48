/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outliving: whether what a request makes can be put to the keeper, so that it outlives gmemd.
 */
#pragma once

#include "daemon/request/request.h"

/*
 * Before anything is changed. Where the keeper's queue is full, what would have to be put is
 * postponed, REQUEST_POSTPONED, until the keeper has caught up; where it is stalled, it is refused
 * as busy. A notification is not refused: its sender would not learn of it.
 */
int outliving_check(struct request *request, enum method_number method);
