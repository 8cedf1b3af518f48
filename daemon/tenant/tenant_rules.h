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

struct lost_vm_tenant {
	uid_t uid;           /* that the VM was opened for */
	const char *noted;   /* NULL: nothing is */
	const char *of_peer; /* "": its user's own */
};

/*
 * The name of the tenant that a VM comes back into which gmemd has lost: the one that it was of, as
 * far as that is noted, and whatever its peer is of by now. Where there are no tenants any more,
 * each user is one, and where there were none then, it is of the peer's, as a new one would be. "":
 * its user's own.
 *
 * -EACCES where the configuration does not have the tenant any more, whose name it is then: what it
 * may have nobody knows.
 */
int tenant_of_lost_vm(const struct config *config, const struct lost_vm_tenant *vm,
	char ret[static TENANT_NAME_SIZE]);
