/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which tenant a peer is of, by the configuration's rules.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_tenant.h"
#include "daemon/tenant/identity.h"

#define TENANT_REASON_SIZE 160

/*
 * The name of the peer's tenant: "" for the user's own where no tenants are configured.
 *
 * -EACCES where it is of none, or where a rule that would decide needs what can't be had: then
 * nobody is let in by guess, and ret_reason says what is missing. -ESRCH where that is gone with
 * its process.
 */
int tenant_of_peer(const struct config *config, struct identity *identity,
	char ret[static TENANT_NAME_SIZE], char ret_reason[static TENANT_REASON_SIZE]);
