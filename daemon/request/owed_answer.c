/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that are owed. See owed_answer.h.
 */
#include "daemon/request/owed_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"

int owed_place_add(struct owed_place *place, uint32_t record)
{
	uint32_t *records = reallocarray(place->records, place->count + 1, sizeof *records);

	if (!records)
		return -ENOMEM;
	place->records = records;
	place->records[place->count++] = record;
	return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int inherited_answer_compare(struct inherited_answer *a, struct inherited_answer *b)
{
	int r = compare_numbers(a->owed.peer, b->owed.peer);

	if (r == 0)
		r = compare_numbers(a->owed.turn, b->owed.turn);
	if (r == 0)
		r = compare_numbers(a->owed.order, b->owed.order);
	return r != 0 ? r : compare_numbers(a->owed.request, b->owed.request);
}

RB_GENERATE_LOCAL(inherited_answer_tree, inherited_answer, in_tree, inherited_answer_compare)

struct inherited_answer *inherited_answer_new(const struct owed_answer *owed)
{
	struct inherited_answer *answer = calloc(1, sizeof *answer);
	char *text = malloc(owed->length + 1);

	if (!answer || !text) {
		free(answer);
		free(text);
		return NULL;
	}
	memcpy(text, owed->text, owed->length);
	text[owed->length] = '\0';
	answer->owed = *owed;
	answer->owed.text = answer->text = text;
	return answer;
}

static struct inherited_answer *answer_of(
	struct inherited_answer_tree *tree, const struct owed_record *record)
{
	struct inherited_answer *answer, key = {.text = NULL};

	owed_record_read(record, &key.owed);
	answer = RB_FIND(inherited_answer_tree, tree, &key);
	if (answer)
		return answer;
	answer = malloc(sizeof *answer);
	if (!answer)
		return NULL;
	*answer = key;
	RB_INSERT(inherited_answer_tree, tree, answer);
	return answer;
}

/* All parts but the last are full. */
int inherited_answer_add(
	struct inherited_answer_tree *tree, const struct owed_record *record, uint32_t index)
{
	struct inherited_answer *answer = answer_of(tree, record);
	size_t at = owed_record_start(record), end = at + record->length;
	char *text;

	if (!answer || owed_place_add(&answer->place, index) < 0)
		return -ENOMEM;
	if (record->part == 0)
		answer->owed.when = record->when;
	if (end > answer->owed.length) {
		text = realloc(answer->text, end + 1);
		if (!text)
			return -ENOMEM;
		memset(text + answer->owed.length, 0, end + 1 - answer->owed.length);
		answer->owed.text = answer->text = text;
		answer->owed.length = end;
	}
	if (record->length > 0)
		memcpy(answer->text + at, record->bytes, record->length);
	return 0;
}

bool inherited_answer_is_whole(const struct inherited_answer *answer)
{
	struct json_object *message;
	const char *why;

	if (answer->owed.length == 0)
		return true;
	message = json_parse(answer->owed.text, answer->owed.length, &why);
	json_unref(message);
	return message || why == json_no_memory;
}

static struct inherited_answer *first_to(const struct inherited_answer_tree *tree, uint64_t peer)
{
	struct inherited_answer key = {.owed.peer = peer}, *answer;

	/* The tree's functions take no const. */
	answer = RB_NFIND(inherited_answer_tree, (struct inherited_answer_tree *)tree, &key);
	return answer && answer->owed.peer == peer ? answer : NULL;
}

bool inherited_answers_any_to(const struct inherited_answer_tree *tree, uint64_t peer)
{
	return first_to(tree, peer);
}

void inherited_answers_take(
	struct inherited_answer_tree *tree, uint64_t peer, struct inherited_answers *list)
{
	struct inherited_answer *answer = first_to(tree, peer), *next;

	for (; answer && answer->owed.peer == peer; answer = next) {
		next = RB_NEXT(inherited_answer_tree, tree, answer);
		RB_REMOVE(inherited_answer_tree, tree, answer);
		STAILQ_INSERT_TAIL(list, answer, link);
	}
}

struct inherited_answer *inherited_answer_any(struct inherited_answer_tree *tree)
{
	struct inherited_answer *answer = RB_MIN(inherited_answer_tree, tree);

	if (answer)
		RB_REMOVE(inherited_answer_tree, tree, answer);
	return answer;
}

void inherited_answer_free(struct inherited_answer *answer)
{
	free(answer->place.records);
	free(answer->text);
	free(answer);
}
