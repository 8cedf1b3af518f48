/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_tenant_of: what it takes to find the tenant of a peer among many, by its user, and to ask
 * that one's budgets, which have a limit and a reserve, for a promise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "daemon/config/config_file.h"
#include "daemon/tenant/tenant.h"
#include "daemon/tenant/tenant_rules.h"

#define TENANTS   1000
#define FIRST_UID 100000u
#define ROUNDS    200
#define MIB       ((uint64_t)1 << 20)

static struct config config;
static struct capacity host = {.host = {.scope = "host", .limit = UINT64_MAX / 4}};
static struct tenants tenants;

static void set_up(void)
{
	static struct config_faults faults;
	struct tenants_refused refused;
	char path[] = "/tmp/gmemd-bench-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file)
		abort();
	for (unsigned i = 0; i < TENANTS; i++)
		fprintf(file, "[tenant t%u]\nusers = %u\nlimit = %llu\nreserve = 4096\n", i,
			FIRST_UID + i, (unsigned long long)(64 * MIB));
	fclose(file);
	config = config_defaults;
	if (!config_file_read(path, /* required= */ true, &config, &faults))
		abort();
	unlink(path);
	tenants_init(&tenants, &config, &host);
	if (tenants_configure(&tenants, &config, 1ull << 40, &refused) < 0)
		abort();
}

static void admit(unsigned i)
{
	struct process process = {.uid = FIRST_UID + i, .pidfd = -1};
	char name[TENANT_NAME_SIZE], reason[TENANT_REASON_SIZE];
	struct identity identity;
	struct budget vm = {.scope = "vm", .limit = MIB};
	struct tenant *tenant;

	identity_begin(-1, &process, "", &identity);
	if (tenant_of_peer(&config, &identity, name, reason) < 0 ||
		tenants_get(&tenants, name, process.uid, &tenant) < 0)
		abort();
	vm.within = &tenant->budget;
	if (budget_promise(&vm))
		abort();
	budget_end_promise(&vm);
	tenant_unref(tenant);
	identity_clear(&identity);
}

int main(void)
{
	struct timespec began, ended;
	double ns;

	set_up();
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < TENANTS; i++)
			admit((i * 7919) % TENANTS);
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ns = (double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec);
	printf("a peer's tenant, of %d, and a promise of it: %.2f us\n", TENANTS,
		ns / 1000 / ROUNDS / TENANTS);
	tenants_clear(&tenants);
	config_clear(&config);
	return 0;
}
