/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.profile.
 */
#include "daemon/methods/methods.h"
#include "daemon/report/profile.h"
#include "protocol/json.h"

static int begin(struct request *request)
{
	struct caller *caller = request->caller;
	struct profile *profile = profile_begin(&request->gmemd->stages);

	if (!profile)
		return rpc_error_internal(&request->error, "no memory");
	profile_end(caller->profile);
	caller->profile = profile;
	request->timer.measured = false; /* it came before that */
	return 0;
}

int handle_host_profile(struct request *request)
{
	struct caller *caller = request->caller;
	uint64_t action = request->parameters.host_profile.action;
	int r = action == PROFILE_BEGIN ? begin(request) : 0;

	if (r == 0 && !caller->profile)
		r = rpc_error_conflict(&request->error, "profile",
			"This connection has begun no profile, or gmemd was restarted since");
	if (r < 0)
		return r;
	profile_describe(caller->profile, request->result);
	if (action == PROFILE_END)
		caller->profile = profile_end(caller->profile);
	return 0;
}
