/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grants. See grant.h.
 */
#include "daemon/grant/grant.h"

#include <stdlib.h>

void grants_init(struct grants *grants)
{
	TAILQ_INIT(&grants->all);
	grants->count = 0;
}

static struct grant *grant_new(const struct grant *told)
{
	struct grant *grant = malloc(sizeof *grant);

	if (!grant)
		return NULL;
	*grant = *told;
	grant->record = 0;
	return grant;
}

struct grant *grants_add(struct grants *grants, const struct grant *told)
{
	struct grant *grant = grant_new(told);

	if (!grant)
		return NULL;
	TAILQ_INSERT_TAIL(&grants->all, grant, link);
	grants->count++;
	return grant;
}

struct grant *grants_recover(struct grants *grants, const struct grant *told)
{
	struct grant *grant = grant_new(told), *before;

	if (!grant)
		return NULL;
	before = TAILQ_LAST(&grants->all, grant_list);
	while (before && before->id > told->id)
		before = TAILQ_PREV(before, grant_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&grants->all, before, grant, link);
	else
		TAILQ_INSERT_HEAD(&grants->all, grant, link);
	grants->count++;
	return grant;
}

void grants_remove(struct grants *grants, struct grant *grant)
{
	TAILQ_REMOVE(&grants->all, grant, link);
	grants->count--;
	free(grant);
}

static struct grant *find_by_process(
	const struct grants *grants, uint64_t memory, enum grant_kind kind, uint64_t identity)
{
	struct grant *grant;

	TAILQ_FOREACH (grant, &grants->all, link) {
		if (grant->kind == kind && grant->memory == memory && grant->identity == identity)
			return grant;
	}
	return NULL;
}

static struct grant *find_by_user(const struct grants *grants, uint64_t memory, uid_t uid)
{
	struct grant *grant;

	TAILQ_FOREACH (grant, &grants->all, link) {
		if (grant->kind == GRANT_TO_USER && grant->memory == memory && grant->uid == uid)
			return grant;
	}
	return NULL;
}

struct grant *grants_find(
	const struct grants *grants, uint64_t memory, const struct process *process)
{
	struct grant *grant = find_by_process(grants, memory, GRANT_TO_PROCESS, process->identity);

	return grant ? grant : find_by_user(grants, memory, process->uid);
}

struct grant *grants_find_holding(const struct grants *grants, uint64_t memory, uint64_t identity)
{
	return find_by_process(grants, memory, GRANT_HOLDING, identity);
}

struct grant grant_holding_of(const struct grant *grant, const struct process *process)
{
	return (struct grant){.id = grant->id,
		.memory = grant->memory,
		.kind = GRANT_HOLDING,
		.uid = process->uid,
		.pid = process->pid,
		.identity = process->identity};
}
