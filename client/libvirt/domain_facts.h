/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd has to know of a libvirt domain, read from the domain's XML: as libvirt writes it, for
 * its hooks and to those who ask.
 *
 * Of gmemd's own there is one element below <metadata>, without content:
 *
 *     <gmem:memory xmlns:gmem="urn:gmemd:domain" tenant="blue" limit="8G"/>
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define METADATA_NAMESPACE "urn:gmemd:domain"

#define FACTS_TEXT_MAX 512 /* of a sentence, and its NUL */

struct domain_facts {
	char uuid[37];
	char *name;
	char *title;      /* NULL: none */
	int64_t id;       /* libvirt's number of one that runs or is about to; -1: none */
	uint64_t maximum; /* bytes that its guest can have at most: <maxMemory>, else <memory> */
	bool is_ours;     /* its <emulator> is gmem-run-qemu, so that its memory is gmemd's */
	char *tenant;     /* of the metadata; NULL: none */
	uint64_t limit;   /* of the metadata, bytes; 0: none */
	/* What is wrong with the metadata, of which then nothing counts. "": nothing is. */
	char fault[FACTS_TEXT_MAX];
};

/* -EINVAL where it is no domain's XML, with why in ret_why; -ENOMEM. To be cleared. */
int domain_facts_read(
	const char *xml, struct domain_facts *ret, char ret_why[static FACTS_TEXT_MAX]);
/* What was read, or all zeroes. */
void domain_facts_clear(struct domain_facts *facts);

/* Bytes that gmemd is to promise the domain's VM. */
uint64_t domain_facts_commit_limit(const struct domain_facts *facts);
