/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privileges. See privileges.h.
 */
#include "daemon/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "daemon/log.h"

static const unsigned to_look = CAP_SYS_PTRACE;    /* at other users' VMMs */
static const unsigned to_enter = CAP_DAC_OVERRIDE; /* their cgroups */

static bool may(unsigned capability)
{
	return capng_have_capability(CAPNG_PERMITTED, capability);
}

/* A service manager may have taken all of it, and the right to call capset(2). */
static bool has_too_much(void)
{
	for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++) {
		if (capability != to_look && may(capability))
			return true;
	}
	return false;
}

static int give_up(bool may_look, bool may_enter)
{
	bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_select_t what = may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;

	capng_clear(what);
	if (may_look && capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, to_look) < 0)
		return -EPERM;
	if (may_enter && capng_update(CAPNG_ADD, CAPNG_PERMITTED, to_enter) < 0)
		return -EPERM;
	if (capng_apply(what) < 0) {
		log_error("capabilities could not be given up");
		return -EPERM;
	}
	return 0;
}

int privileges_give_up(void)
{
	bool may_look, may_enter;

	/* What gmemd starts is to have none. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capng_get_caps_process() < 0)
		return -EPERM;
	may_look = capng_have_capability(CAPNG_EFFECTIVE, to_look);
	may_enter = may(to_enter);
	if (has_too_much() && give_up(may_look, may_enter) < 0)
		return -EPERM;
	if (!may_look)
		log_warning("without CAP_SYS_PTRACE, gates of other users' VMMs can't be verified: "
			    "their VMs will be refused");
	if (!may_enter)
		log_warning("without CAP_DAC_OVERRIDE, cgroups of other users' VMMs can't be "
			    "entered: they can't be charged for what is preallocated for them");
	return 0;
}

static void set_to_enter(capng_act_t action)
{
	if (capng_get_caps_process() < 0 || !may(to_enter))
		return;
	if (capng_update(action, CAPNG_EFFECTIVE, to_enter) == 0)
		capng_apply(CAPNG_SELECT_CAPS);
}

void privileges_raise_to_enter(void)
{
	set_to_enter(CAPNG_ADD);
}

void privileges_lower(void)
{
	set_to_enter(CAPNG_DROP);
}
