/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that are owed to peers, and what a predecessor has left of them in the ledger of peers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/request/peer_record.h"
#include "kernel/base/tree.h"

/* Where it is in the ledger. Its records are freed with free(). */
struct owed_place {
	uint32_t *records;
	size_t count;
	struct owner *owner; /* who is charged for them; NULL: nobody, they are a predecessor's */
};

/* -ENOMEM. */
int owed_place_add(struct owed_place *place, uint32_t record);

/* What a predecessor owed. */
struct inherited_answer {
	RB_ENTRY(inherited_answer) in_tree;
	STAILQ_ENTRY(inherited_answer) link;
	struct owed_answer owed;
	struct owed_place place;
	char *text; /* owed.text */
};

RB_HEAD(inherited_answer_tree, inherited_answer);
STAILQ_HEAD(inherited_answers, inherited_answer);

/* Of what is owed, with a copy of its text and no place. NULL without memory. */
struct inherited_answer *inherited_answer_new(const struct owed_answer *owed);
/* Adds what the record at that index has of an answer. -ENOMEM. */
int inherited_answer_add(
	struct inherited_answer_tree *tree, const struct owed_record *record, uint32_t index);
/* Whether all of it is there, so that it can be sent: a ledger may have less. */
bool inherited_answer_is_whole(const struct inherited_answer *answer);
/* Moves those to a peer to the list, by turn and order. */
void inherited_answers_take(
	struct inherited_answer_tree *tree, uint64_t peer, struct inherited_answers *list);
bool inherited_answers_any_to(const struct inherited_answer_tree *tree, uint64_t peer);
/* One of all, taken out of the tree; NULL where there is none. */
struct inherited_answer *inherited_answer_any(struct inherited_answer_tree *tree);
/* Its place must have been deleted. */
void inherited_answer_free(struct inherited_answer *answer);
