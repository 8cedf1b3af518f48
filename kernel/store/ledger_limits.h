/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How large a ledger can be, and of which versions it is.
 */
#pragma once

#define LEDGER_RECORD_SIZE_MAX 4096 /* bytes */
#define LEDGER_CAPACITY_MAX    (1u << 19)

/* Its file is the same in both: who knows the first alone is not to read the other, for there are
 * records in it that it would miss. */
#define LEDGER_VERSION_FIRST 2
#define LEDGER_VERSION_LAST  3
