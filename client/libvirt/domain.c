/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains by UUID. See domain.h.
 */
#include "client/libvirt/domain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int domain_compare(const struct domain *one, const struct domain *other)
{
	return strcmp(one->uuid, other->uuid);
}

RB_GENERATE(domain_tree, domain, by_uuid, domain_compare)

struct domain *domain_find(struct domain_tree *domains, const char *uuid)
{
	struct domain wanted;

	snprintf(wanted.uuid, sizeof wanted.uuid, "%s", uuid);
	return RB_FIND(domain_tree, domains, &wanted);
}

struct domain *domain_have(struct domain_tree *domains, const char *uuid)
{
	struct domain *domain = domain_find(domains, uuid);

	if (domain)
		return domain;
	domain = calloc(1, sizeof *domain);
	if (!domain)
		return NULL;
	snprintf(domain->uuid, sizeof domain->uuid, "%s", uuid);
	domain->stale = true;
	RB_INSERT(domain_tree, domains, domain);
	return domain;
}

void domain_remove(struct domain_tree *domains, struct domain *domain)
{
	RB_REMOVE(domain_tree, domains, domain);
	domain_facts_clear(&domain->facts);
	free(domain);
}
