/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities given up. See capabilities.h.
 */
#include "daemon/capabilities.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

int capabilities_give_up(void)
{
	capng_select_t what;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (capng_get_caps_process() < 0)
		return -EPERM;
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	what = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH
								   : CAPNG_SELECT_CAPS;
	capng_clear(what);
	return capng_apply(what) < 0 ? -EPERM : 0;
}
