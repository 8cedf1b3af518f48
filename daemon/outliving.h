/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outliving: whether what a request makes can be put to the keeper, so that it outlives gmemd.
 */
#pragma once

#include "daemon/handler.h"

/*
 * Before anything is changed. Refuses as busy what would have to be put while the keeper is stalled
 * and its queue is full. A notification is not refused: its sender would not learn of it.
 */
int outliving_check(struct request *request, enum method_number method);
