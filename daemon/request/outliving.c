/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outliving. See outliving.h.
 */
#include "daemon/request/outliving.h"

#include "daemon/fdstore/fdstore.h"
#include "daemon/request/postponement.h"

/* A keeper that goes on has soon caught up. */
#define RETRY_MS 250

/* A VM that gmemd has lost, and that is to be rebuilt. */
static bool resumes_lost(const struct request *request)
{
	return !registry_vm_by_id(&request->gmemd->registry, request->parameters.vm_resume.vm);
}

/* What a creation begins, its call.done puts. */
static bool puts_anything(const struct request *request, enum method_number method)
{
	switch (method) {
	case METHOD_VM_OPEN:
	case METHOD_VM_GATE:
	case METHOD_MEMORY_CREATE:
	case METHOD_TENANT_SET:
		return true;
	case METHOD_VM_RESUME:
		return resumes_lost(request);
	case METHOD_CALL_DONE:
		return request->parameters.call_done.fd >= 0;
	default:
		return false;
	}
}

int outliving_check(struct request *request, enum method_number method)
{
	enum fdstore_readiness readiness = fdstore_readiness(request->gmemd->fdstore);

	if (readiness == FDSTORE_READY || !puts_anything(request, method))
		return 0;
	if (readiness == FDSTORE_BEHIND)
		return REQUEST_POSTPONED;
	if (request->notification)
		return 0;
	return rpc_error_busy(&request->error,
		"gmemd-keeper does not answer, and must hold what this request makes", RETRY_MS);
}
