/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits: what a peer may make gmemd hold, each with the name that refusals give it: a setting of
 * that name in gmemd.conf, unless it is fixed.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_tenant.h"
#include "protocol/error.h"

/* Records of peers and of answers that are owed to them, on the host. */
#define PEER_RECORDS_MAX (1u << 17)

enum limit {
	LIMIT_PEERS_PER_USER,
	LIMIT_VMS_PER_USER,
	LIMIT_MEMORIES_PER_USER,
	LIMIT_PREALLOCATIONS_PER_USER,
	LIMIT_MEMORIES_PER_VM,
	LIMIT_CLOSED_MEMORIES_PER_VM,
	LIMIT_CLOSED_MEMORIES_PER_USER,
	LIMIT_SLOTS_PER_VM,
	LIMIT_GRANTS_PER_VM,
	LIMIT_PRIVATE_RANGES_PER_VM,
	LIMIT_PREALLOCATIONS_PER_VM,
	LIMIT_PREALLOCATIONS_ON_HOST,
	LIMIT_TAKERS_PER_OWNER,
	LIMIT_TAKERS_PER_USER,
	LIMIT_TAKERS_ON_HOST,
	LIMIT_RESERVATIONS_ON_HOST,
	LIMIT_PEER_RECORDS,
	LIMIT_CONNECTIONS_OF_TENANT,
	LIMIT_VMS_OF_TENANT,
	LIMIT_MEMORIES_OF_TENANT,
	LIMIT_REQUESTS_OF_TENANT, /* that are not answered yet */
	LIMITS
};

uint64_t limit_value(const struct config *config, enum limit limit);
/* The same for one of a tenant: what that has of its own, where it is less. tenant: NULL for one
 * that the configuration hasn't. CONFIG_NO_NUMBER where there is no limit. */
uint64_t limit_value_for(
	const struct config *config, const struct config_tenant *tenant, enum limit limit);

/* Fills in the error of a request that would pass the limit, and returns its code. why: a sentence
 * without its full stop. */
int limit_error(
	struct rpc_error *error, const struct config *config, enum limit limit, const char *why);
int limit_error_for(struct rpc_error *error, const struct config *config,
	const struct config_tenant *tenant, enum limit limit, const char *why);
