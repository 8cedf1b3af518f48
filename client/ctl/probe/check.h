/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemctl probe checks: one table of what a host can have, what follows where it has not, and
 * what to do then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/kvm/probe.h"

struct checked_host {
	struct host_offer offer; /* .kvm is false where nobody could ask KVM */
	int kvm_errno;           /* of opening /dev/kvm; 0 where that succeeded */
	bool from_gmemd;         /* what KVM offers is what gmemd says */
};

struct check {
	const char *name;
	/* Whether the host has it; *ret_detail is what exactly, or why not. */
	bool (*present)(const struct checked_host *host, char *ret_detail, size_t size);
	bool required; /* gmemd does not serve without */
	bool of_kvm;   /* not to be called where host->offer.kvm is false */
	/* Where it is not present: */
	const char *consequence;
	unsigned since; /* the first kernel that has it, 618 for Linux 6.18; 0: any */
	/* What else it needs, or "": what to do where the kernel is new enough. */
	const char *remedy;
};

/* Ends with a check without a name. */
extern const struct check checks[];

/* What to do, of this host. */
void check_remedy(
	const struct check *check, const struct checked_host *host, char *ret, size_t size);
