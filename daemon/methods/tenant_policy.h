/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a caller's tenant lets it do. Each fills in the error and returns its code where it doesn't.
 */
#pragma once

#include "daemon/request/request.h"
#include "daemon/tenant/tenant.h"

/* The tenant that the caller opens VMs in: a reference. */
int request_tenant(struct request *request, struct tenant **ret);
