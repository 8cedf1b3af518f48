/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a caller's tenant lets it do. Each fills in the error and returns its code where it doesn't.
 */
#pragma once

#include "daemon/request/request.h"
#include "daemon/tenant/tenant.h"

/* How many VMs of it are to be seen. */
uint64_t tenant_vms_seen(const struct tenant *tenant);
/* Whether it is: it is configured, or has anything, or something was set of it. */
bool tenant_is_seen(const struct tenant *tenant);

/* The tenant that the caller opens VMs in: a reference. */
int request_tenant(struct request *request, struct tenant **ret);
/* Whether a VM of the tenant must have a gate; NULL for one that the configuration hasn't. */
bool request_needs_gate(const struct request *request, const struct config_tenant *tenant);
/* What that is, and that it is there no more. */
int request_tenant_not_open(struct request *request, const char *name);
/* A VM of that type, and with so much promised to it. */
int request_tenant_lets_open(struct request *request, unsigned type, uint64_t commit_limit);
/* That a VM as it is, with so much promised to it, is of the tenant, whoever asks. */
int request_tenant_lets_have(
	struct request *request, struct vm *vm, const struct tenant *tenant, uint64_t commit_limit);
/* A memory of the VM, asked for on a node or on any. *node: where it is to be then. */
int request_tenant_lets_create(struct request *request, const struct vm *vm, int *node);
