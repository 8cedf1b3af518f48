/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over connections: those that a predecessor has left at the keeper go on as peers.
 */
#pragma once

#include "daemon/gmemd.h"

/* Once the listeners are there. Answers what the predecessor owed. */
void recover_peers(struct gmemd *gmemd);
