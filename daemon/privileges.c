/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privileges. See privileges.h.
 */
#include "daemon/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>

#include "daemon/log.h"

int privileges_give_up(void)
{
	bool may_look, may_bound;
	capng_select_t what;

	if (capng_get_caps_process() < 0)
		return -EPERM;
	may_look = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_PTRACE);
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	what = may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
	capng_clear(what);
	if (may_look &&
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_PTRACE) < 0)
		return -EPERM;
	if (capng_apply(what) < 0) {
		log_error("capabilities could not be given up");
		return -EPERM;
	}
	if (!may_look)
		log_warning("without CAP_SYS_PTRACE, gates of other users' VMMs can't be verified: "
			    "their VMs will be refused");
	return 0;
}
