/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings. See config.h.
 */
#include "daemon/config/config.h"

#include <stdlib.h>

#include "daemon/config/config_tenant.h"

const struct config config_defaults = {
	.runtime_directory = DEFAULT_RUNTIME_DIRECTORY,
	.backend = BACKEND_AUTO,
	.gate_policy = GATE_POLICY_REQUIRED,
	.probes = true,
	.keeper = true,
	.vmm_socket_mode = 0666,
	.operator_socket_mode = 0600,
	.peers_per_user = 2048,
	.vms_per_user = 2048,
	.memories_per_user = 8192,
	.preallocations_per_user = 32,
	.takers_per_owner = 4,
	.takers_per_user = 64,
	.takers_on_host = 1024,
	.memories_per_vm = 64,
	.closed_memories_per_vm = 64,
	.closed_memories_per_user = 2048,
	.slots_per_vm = 4096,
	.grants_per_vm = 64,
	.private_ranges_per_vm = 2u << 20,
	.own_memory_per_vm = 256ull << 20,
	.preallocations_per_vm = 8,
	.preallocations_on_host = 64,
	.reservations_on_host = 4096,
	.commit_limit = 0,
	.host_reserve = {10, /* percent= */ true},
	.overcommit = 0,
	.pressure_floor = {5, /* percent= */ true},
	.pressure_deadline = 5000,
};

void config_clear(struct config *config)
{
	config_tenants_clear(&config->tenants);
	for (unsigned i = 0; i < config->paths.count; i++)
		free(config->paths.all[i]);
	free(config->paths.all);
	config->paths = (struct config_paths){.count = 0};
}

uint64_t config_bytes(const struct config_amount *amount, uint64_t memory_total)
{
	if (!amount->percent)
		return amount->number;
	return memory_total / 100 * amount->number + memory_total % 100 * amount->number / 100;
}

__extension__ typedef unsigned __int128 wide;

uint64_t capacity_of(uint64_t total, uint64_t reserve, uint64_t overcommit)
{
	wide capacity;

	if (reserve >= total)
		return 0;
	capacity = (wide)(total - reserve) * ((wide)100 + overcommit) / 100;
	return capacity > UINT64_MAX ? UINT64_MAX : (uint64_t)capacity;
}

uint64_t config_capacity(const struct config *config, uint64_t memory_total)
{
	uint64_t reserve = config_bytes(&config->host_reserve, memory_total);
	uint64_t limit = capacity_of(memory_total, reserve, config->overcommit);

	return config->commit_limit > 0 && config->commit_limit < limit ? config->commit_limit
									: limit;
}

uint64_t reserve_of_node(uint64_t reserve, uint64_t node_total, uint64_t all_nodes)
{
	wide share = all_nodes > 0 ? ((wide)reserve * node_total + all_nodes - 1) / all_nodes : 0;

	return share > UINT64_MAX ? UINT64_MAX : (uint64_t)share;
}

uint64_t config_node_capacity(
	const struct config *config, uint64_t memory_total, uint64_t node_total, uint64_t all_nodes)
{
	uint64_t reserve = config_bytes(&config->host_reserve, memory_total);

	return capacity_of(
		node_total, reserve_of_node(reserve, node_total, all_nodes), config->overcommit);
}
