/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overrides. See overrides.h.
 */
#include "daemon/override/overrides.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/fdstore/inherited_fds.h"
#include "kernel/base/cleanup.h"
#include "kernel/store/ledger.h"

enum override_kind { RECORD_OVERRIDES = 1, RECORD_OVERRIDE };

enum override_flags { OVERRIDE_LIMIT = 1 << 0, OVERRIDE_RESERVE = 1 << 1 };

/* Members are never moved and never change their meaning; new ones are added at the end. The record
 * at index 0 has none but the kind, so that no tenant's is there. */
struct override_record {
	uint16_t kind;
	uint16_t flags;
	uint32_t unused;
	uint64_t limit;
	uint64_t reserve;
	char name[TENANT_NAME_SIZE];
	char padding[5];
};

_Static_assert(sizeof(struct override_record) == 72, "record");
_Static_assert(TENANT_NAME_SIZE == 43, "record");

/* Each has room, and itself at index 0. */
#define CAPACITY (CONFIG_TENANTS_MAX * 4)

void overrides_init(struct overrides *overrides, struct tenants *tenants, struct fdstore *fdstore)
{
	*overrides = (struct overrides){.tenants = tenants, .fdstore = fdstore};
}

/* Records */

static void write_record(const struct tenant *tenant, struct override_record *ret)
{
	const struct tenant_override *set = &tenant->set;

	*ret = (struct override_record){
		.kind = RECORD_OVERRIDE,
		.flags = (uint16_t)((set->has_limit ? OVERRIDE_LIMIT : 0) |
				    (set->has_reserve ? OVERRIDE_RESERVE : 0)),
		.limit = set->limit,
		.reserve = set->reserve,
	};
	memcpy(ret->name, tenant->name, sizeof ret->name);
}

static bool read_record(const struct ledger *ledger, uint32_t index, struct override_record *ret)
{
	const void *bytes;
	size_t length;

	if (ledger_get(ledger, index, &bytes, &length) < 0 || length < sizeof *ret)
		return false;
	memcpy(ret, bytes, sizeof *ret);
	return ret->kind == RECORD_OVERRIDE && ret->name[0] &&
	       memchr(ret->name, '\0', sizeof ret->name) && (ret->flags & ~3u) == 0;
}

static int apply(struct overrides *overrides, const struct override_record *record, uint32_t index)
{
	const struct tenant_override set = {
		.has_limit = record->flags & OVERRIDE_LIMIT,
		.has_reserve = record->flags & OVERRIDE_RESERVE,
		.limit = record->limit,
		.reserve = record->reserve,
		.record = index,
	};
	struct tenant *tenant;
	int r = tenants_get(overrides->tenants, record->name, /* uid= */ 0, &tenant);

	if (r < 0)
		return r;
	tenant_set_override(tenant, &set);
	tenant_unref(tenant);
	return 0;
}

/* The ledger */

static int make_ledger(struct overrides *overrides)
{
	const struct override_record first = {.kind = RECORD_OVERRIDES};
	int r = ledger_new(
		"gmemd-tenants", sizeof(struct override_record), CAPACITY, &overrides->ledger);

	if (r == 0)
		r = ledger_put(overrides->ledger, 0, &first, sizeof first);
	if (r < 0) {
		overrides->ledger = ledger_free(overrides->ledger);
		return r;
	}
	ledger_commit(overrides->ledger);
	fdstore_put_one(overrides->fdstore, FDSTORE_TENANTS, 0, 0, ledger_fd(overrides->ledger));
	return 0;
}

static int read_all(struct overrides *overrides)
{
	struct override_record record;
	int r = 0;

	if (ledger_record_size(overrides->ledger) < sizeof record)
		return -EPROTONOSUPPORT;
	for (uint32_t index = 1; r == 0 && index < ledger_end(overrides->ledger); index++) {
		if (read_record(overrides->ledger, index, &record))
			r = apply(overrides, &record, index);
	}
	return r;
}

int overrides_take_over(struct overrides *overrides, struct inherited_fds *inherited)
{
	int fd = inherited_fds_take(inherited, FDSTORE_TENANTS, 0, 0), r;

	if (fd < 0)
		return 0;
	r = ledger_open(fd, &overrides->ledger);
	if (r < 0)
		fd_close(fd);
	else
		r = read_all(overrides);
	if (r == 0 || inheriting_lacks(r))
		return r;
	log_warning("what operators have set of tenants could not be taken over: %s", strerror(-r));
	overrides_drop(overrides);
	overrides_clear(overrides);
	return 0;
}

void overrides_clear(struct overrides *overrides)
{
	overrides->ledger = ledger_free(overrides->ledger);
}

void overrides_drop(struct overrides *overrides)
{
	fdstore_drop(overrides->fdstore, FDSTORE_TENANTS, 0, 0);
}

bool overrides_any(const struct overrides *overrides)
{
	struct tenant *tenant = tenants_from(overrides->tenants, "");

	while (tenant && !tenant->set.has_limit && !tenant->set.has_reserve)
		tenant = tenants_next(tenant);
	return tenant;
}

int overrides_note(struct overrides *overrides, struct tenant *tenant)
{
	struct override_record record;
	uint32_t index = tenant->set.record;
	int r = 0;

	if (!overrides->fdstore)
		return 0;
	if (!overrides->ledger)
		r = make_ledger(overrides);
	if (r == 0 && index == 0)
		r = ledger_free_index(overrides->ledger, &index);
	write_record(tenant, &record);
	if (r == 0)
		r = ledger_put(overrides->ledger, index, &record, sizeof record);
	if (r < 0)
		return r;
	tenant->set.record = index;
	STEP("tenant.set: noted");
	ledger_commit(overrides->ledger);
	STEP("tenant.set: committed");
	return 0;
}

void overrides_forget(struct overrides *overrides)
{
	const struct tenant_override none = {.has_limit = false};
	struct tenant *tenant = tenants_from(overrides->tenants, ""), *next;

	for (; tenant; tenant = next) {
		next = tenants_next(tenant);
		if (overrides->ledger && tenant->set.record > 0)
			ledger_delete(overrides->ledger, tenant->set.record);
		tenant_set_override(tenant, &none);
	}
	if (overrides->ledger)
		ledger_commit(overrides->ledger);
}
