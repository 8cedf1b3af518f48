/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privileges. See privileges.h.
 */
#include "daemon/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>

#include "daemon/log.h"

/* A service manager may have taken all of it, and the right to call capset(2). */
static bool has_too_much(void)
{
	for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++) {
		if (capability != CAP_SYS_PTRACE &&
			capng_have_capability(CAPNG_PERMITTED, capability))
			return true;
	}
	return false;
}

static int give_up(bool may_look)
{
	bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_select_t what = may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;

	capng_clear(what);
	if (may_look &&
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_PTRACE) < 0)
		return -EPERM;
	if (capng_apply(what) < 0) {
		log_error("capabilities could not be given up");
		return -EPERM;
	}
	return 0;
}

int privileges_give_up(void)
{
	bool may_look;

	if (capng_get_caps_process() < 0)
		return -EPERM;
	may_look = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_PTRACE);
	if (has_too_much() && give_up(may_look) < 0)
		return -EPERM;
	if (!may_look)
		log_warning("without CAP_SYS_PTRACE, gates of other users' VMMs can't be verified: "
			    "their VMs will be refused");
	return 0;
}
