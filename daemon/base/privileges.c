/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privileges. See privileges.h.
 */
#include "daemon/base/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "daemon/base/log.h"

static const unsigned to_look = CAP_SYS_PTRACE;     /* at other users' VMMs */
static const unsigned to_enter = CAP_DAC_OVERRIDE;  /* their cgroups */
static const unsigned to_fix = CAP_LINUX_IMMUTABLE; /* mailboxes */

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

/* Those that are there. */
struct wanted {
	bool look, enter, fix;
};

static int keep_capability(bool wanted, capng_type_t sets, unsigned capability)
{
	return !wanted || capng_update(CAPNG_ADD, sets, capability) == 0 ? 0 : -EPERM;
}

/* What is out of the bounding set can be handed on to no program. */
static int give_up(const struct wanted *wanted)
{
	bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_select_t what = may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;

	capng_clear(what);
	if (keep_capability(wanted->look, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
		    to_look) < 0 ||
		keep_capability(wanted->enter, CAPNG_PERMITTED, to_enter) < 0 ||
		keep_capability(wanted->fix, CAPNG_PERMITTED, to_fix) < 0 ||
		capng_apply(what) < 0) {
		log_error("capabilities could not be given up");
		return -EPERM;
	}
	return 0;
}

static void warn_of_lack(const struct wanted *wanted)
{
	if (!wanted->look)
		log_warning("without CAP_SYS_PTRACE, gates of other users' VMMs can't be verified: "
			    "their VMs will be refused");
	if (!wanted->enter)
		log_warning("without CAP_DAC_OVERRIDE, cgroups of other users' VMMs can't be "
			    "entered: they can't be charged for what is preallocated for them");
	if (!wanted->fix)
		log_warning("without CAP_LINUX_IMMUTABLE, mailboxes can be written by root and by "
			    "gmemd's own user");
}

int privileges_give_up(void)
{
	struct wanted wanted;

	/* What gmemd starts is to have none, but for what it is handed on. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capng_get_caps_process() < 0)
		return -EPERM;
	wanted = (struct wanted){
		capng_have_capability(CAPNG_EFFECTIVE, to_look), may(to_enter), may(to_fix)};
	if (has_too_much() && give_up(&wanted) < 0)
		return -EPERM;
	warn_of_lack(&wanted);
	return 0;
}

static void set_capability(capng_act_t action, unsigned capability)
{
	bool in_effect, wanted = action == CAPNG_ADD;

	if (capng_get_caps_process() < 0 || !may(capability))
		return;
	in_effect = capng_have_capability(CAPNG_EFFECTIVE, capability);
	if (in_effect == wanted)
		return;
	if (capng_update(action, CAPNG_EFFECTIVE, capability) == 0)
		capng_apply(CAPNG_SELECT_CAPS);
}

void privileges_raise_to_enter(void)
{
	set_capability(CAPNG_ADD, to_enter);
}

void privileges_raise_to_fix(void)
{
	set_capability(CAPNG_ADD, to_fix);
}

void privileges_lower(void)
{
	set_capability(CAPNG_DROP, to_enter);
	set_capability(CAPNG_DROP, to_fix);
}

static int set_inheritable(bool inheritable)
{
	if (capng_get_caps_process() < 0 || !may(to_look))
		return -EPERM;
	if (capng_update(inheritable ? CAPNG_ADD : CAPNG_DROP, CAPNG_INHERITABLE, to_look) < 0)
		return -EPERM;
	return capng_apply(CAPNG_SELECT_CAPS) < 0 ? -EPERM : 0;
}

/* What is not inheritable any more is not ambient either. */
void privileges_hand_on_look(bool hand_on)
{
	if (set_inheritable(hand_on) == 0 && hand_on)
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, to_look, 0, 0);
}
