/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities given up. See capabilities.h.
 */
#include "daemon/base/capabilities.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>

static capng_select_t selection(void)
{
	return capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH
								   : CAPNG_SELECT_CAPS;
}

/* kept: NULL for none. */
static int give_up(const unsigned *kept)
{
	const capng_type_t sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED;
	capng_select_t what;
	bool is_there;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (capng_get_caps_process() < 0)
		return -EPERM;
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	what = selection();
	is_there = kept && capng_have_capability(CAPNG_PERMITTED, *kept);
	capng_clear(what);
	if (is_there && capng_update(CAPNG_ADD, sets, *kept) < 0)
		return -EPERM;
	return capng_apply(what) < 0 ? -EPERM : 0;
}

int capabilities_give_up(void)
{
	return give_up(NULL);
}

int capabilities_keep(unsigned capability)
{
	/* What is not inheritable any more is not ambient either. */
	return give_up(&capability);
}
