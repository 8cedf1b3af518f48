/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The domains that gmemd-libvirt knows, by UUID.
 */
#pragma once

#include <stdbool.h>

#include "client/libvirt/domain_facts.h"
#include "kernel/base/tree.h"

struct domain {
	RB_ENTRY(domain) by_uuid;
	char uuid[37];
	struct domain_facts facts; /* all zeroes until it is read */
	bool active;               /* it runs, or is paused */
	bool stale;                /* it is to be read anew */
	bool unaligned;            /* gmemd may have something else of it */
	/* Why it could not be read, or what gmemd has refused; "": nothing. */
	char unread[FACTS_TEXT_MAX];
	char refused[FACTS_TEXT_MAX];
};

RB_HEAD(domain_tree, domain);
RB_PROTOTYPE(domain_tree, domain, by_uuid, )

/* NULL where there is none. */
struct domain *domain_find(struct domain_tree *domains, const char *uuid);
/* That one, or a new one, which is stale. NULL without memory. */
struct domain *domain_have(struct domain_tree *domains, const char *uuid);
void domain_remove(struct domain_tree *domains, struct domain *domain);
