/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * other_ledger: has the keeper hold VMs' ledgers as a gmemd of another version would have left
 * them, in the place of those that it holds. For tests, while no gmemd runs.
 *
 *   other_ledger DIR SIZE CAPACITY   records of SIZE bytes, of which there can be CAPACITY
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fdstore/fdstore.h"
#include "kernel/base/cleanup.h"
#include "kernel/store/ledger.h"
#include "tests/lib/keeper_waiting.h"
#include "tests/lib/slots_alone.h"

struct other {
	struct keeper_id id;
	struct ledger *ledger;
};

static struct other others[16];
static size_t n_others;
static uint32_t record_size, capacity;

static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "other_ledger: %s: %s\n", what, strerror(-r));
	exit(EXIT_FAILURE);
}

/* What a later version has at a record's end means nothing to this one. */
static void copy_record(const struct ledger *from, uint32_t index, struct ledger *to)
{
	unsigned char record[LEDGER_RECORD_SIZE_MAX];
	const void *bytes;
	size_t length;

	if (ledger_get(from, index, &bytes, &length) < 0)
		return;
	memset(record, 0xee, sizeof record);
	memcpy(record, bytes, length);
	need(ledger_put(to, index, record, record_size), "a record");
}

static int copy(const struct keeper_id *id, int fd, void *context)
{
	struct ledger *from;

	(void)context;
	if (id->kind != FDSTORE_VM_LEDGER || n_others == sizeof others / sizeof *others) {
		fd_close(fd);
		return 0;
	}
	others[n_others].id = *id;
	need(ledger_open(fd, &from), "opening");
	need(slots_alone(from), "slots one by one");
	need(ledger_new("gmemd-vm other", record_size, capacity, &others[n_others].ledger),
		"making another");
	for (uint32_t index = 0; index < ledger_end(from); index++)
		copy_record(from, index, others[n_others].ledger);
	ledger_commit(others[n_others++].ledger);
	ledger_free(from);
	return 0;
}

int main(int argc, char **argv)
{
	struct keeper_client *keeper;

	if (argc != 4)
		return 2;
	record_size = (uint32_t)strtoul(argv[2], NULL, 10);
	capacity = (uint32_t)strtoul(argv[3], NULL, 10);
	need(keeper_connect(argv[1], &keeper), "connecting");
	need(keeper_take(keeper, copy, NULL), "taking");
	for (size_t i = 0; i < n_others; i++) {
		int fd = ledger_fd(others[i].ledger);

		need(keeper_put(keeper, &others[i].id, &fd, 1, /* flags= */ 0), "putting");
		ledger_free(others[i].ledger);
	}
	keeper_free(keeper);
	printf("%zu\n", n_others);
	return n_others > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
