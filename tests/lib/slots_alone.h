/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's ledger as gmemds had it that had a record for each slot.
 */
#pragma once

#include "kernel/store/ledger.h"

/* Gives each slot that is in a record with others one of its own, in their order, and commits that.
 * 0 or a negative errno. */
int slots_alone(struct ledger *ledger);
