/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies. See policy.h.
 */
#include "client/shim/policy.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "client/shim/real.h"

#define WORD_BITS (8 * sizeof(unsigned long))

void policy_read(void *address, struct policy *ret)
{
	*ret = (struct policy){.mode = MPOL_DEFAULT};
	if (real_calls()->syscall(SYS_get_mempolicy, &ret->mode, ret->nodes,
		    (unsigned long)POLICY_NODES_MAX, address, (unsigned long)MPOL_F_ADDR) < 0)
		ret->mode = MPOL_DEFAULT;
}

void policy_set(void *address, uint64_t size, const struct policy *policy)
{
	if (policy->mode != MPOL_DEFAULT)
		real_calls()->syscall(SYS_mbind, address, size, (unsigned long)policy->mode,
			policy->nodes, (unsigned long)POLICY_NODES_MAX, 0ul);
}

int policy_node(const struct policy *policy)
{
	int node = POLICY_ANY_NODE;

	if ((policy->mode & ~MPOL_MODE_FLAGS) != MPOL_BIND)
		return POLICY_ANY_NODE;
	for (unsigned i = 0; i < POLICY_NODES_MAX / WORD_BITS; i++) {
		unsigned long word = policy->nodes[i];

		if (word == 0)
			continue;
		if (node != POLICY_ANY_NODE || (word & (word - 1)) != 0)
			return POLICY_ANY_NODE;
		node = (int)(i * WORD_BITS) + __builtin_ctzl(word);
	}
	return node;
}
