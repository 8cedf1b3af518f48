/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overrides: what operators have set of tenants in place of what the configuration says.
 *
 * They hold until the configuration is read anew, or the host is booted anew, and outlive gmemd:
 * each is committed before it is answered, in a ledger that the keeper holds from the first one on.
 */
#pragma once

#include "daemon/tenant/tenant.h"

struct fdstore;
struct inherited_fds;
struct ledger;

struct overrides {
	struct tenants *tenants;
	struct fdstore *fdstore; /* NULL: nothing outlives gmemd */
	struct ledger *ledger;   /* NULL: there is none yet */
};

/* Both must outlive it. */
void overrides_init(struct overrides *overrides, struct tenants *tenants, struct fdstore *fdstore);
/* What a predecessor has left holds again; no limit may refuse anything yet. Says in the log what
 * could not be taken over. 0, or what inheriting_lacks(). */
int overrides_take_over(struct overrides *overrides, struct inherited_fds *inherited);
/* What outlives gmemd stays. */
void overrides_clear(struct overrides *overrides);
/* Has the keeper drop it: there is to be no successor. */
void overrides_drop(struct overrides *overrides);

/* Whether there are any. */
bool overrides_any(const struct overrides *overrides);
/* The tenant's, as they are by now. -ENOMEM, -ENOSPC: nothing of it would outlive gmemd. */
int overrides_note(struct overrides *overrides, struct tenant *tenant);
/* There are none any more: the tenants are those of the configuration. */
void overrides_forget(struct overrides *overrides);
