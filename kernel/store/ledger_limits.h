/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How large a ledger can be.
 */
#pragma once

#define LEDGER_RECORD_SIZE_MAX 4096 /* bytes */
#define LEDGER_CAPACITY_MAX    (1u << 19)
