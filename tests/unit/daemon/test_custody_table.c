/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of custody: what is to be sent to a keeper, in which order and together with what; what
 * an answer settles; what of it is to be said to the next keeper.
 */
#include "daemon/fdstore/fdstore_table.h"

#include <errno.h>

#include "daemon/fdstore/fdstore.h"
#include "tests/lib/unit.h"

static struct fdstore_table table;
static uint64_t serial;

struct counting_closer {
	struct fdstore_closer closer;
	unsigned closed;
	int last;
};

static void count(struct fdstore_closer *closer, int take_fd)
{
	struct counting_closer *counting = (struct counting_closer *)closer;

	counting->closed++;
	counting->last = take_fd;
}

static struct keeper_id id_of(enum fdstore_kind kind, uint64_t owner, uint64_t member)
{
	return (struct keeper_id){kind, owner, member};
}

static void put(enum fdstore_kind kind, uint64_t owner, uint64_t member, int fd, bool urgent)
{
	const struct keeper_id id = id_of(kind, owner, member);

	CU_ASSERT_EQUAL_FATAL(fdstore_table_put(&table, &id, fd, urgent), 0);
}

static void drop(enum fdstore_kind kind, uint64_t owner, uint64_t member)
{
	const struct keeper_id id = id_of(kind, owner, member);

	fdstore_table_drop(&table, &id, -1, NULL);
}

/* What is sent next of what can wait. */
static struct fdstore_queue *rest(void)
{
	return fdstore_table_queue_from(&table, FDSTORE_DROPS);
}

/* Sends the next of the queue; count: of the files or ids in it. */
static uint64_t send_next(
	struct fdstore_queue *queue, enum keeper_operation operation, uint32_t count)
{
	struct fdstore_batch batch;

	CU_ASSERT_FALSE_FATAL(TAILQ_EMPTY(queue));
	fdstore_table_next(queue, &batch);
	CU_ASSERT_EQUAL(batch.operation, operation);
	CU_ASSERT_EQUAL(batch.count, count);
	fdstore_table_posted(&table, queue, batch.count, ++serial);
	return serial;
}

static void send_and_answer(struct fdstore_queue *queue, uint32_t count)
{
	fdstore_table_answered(&table, send_next(queue, KEEPER_PUT, count), 0);
}

static void begin(void)
{
	fdstore_table_init(&table);
}

static void test_batches(void)
{
	begin();
	for (unsigned i = 0; i < KEEPER_BATCH + 3; i++)
		put(FDSTORE_MEMORY, 1, i, (int)i, /* urgent= */ true);
	put(FDSTORE_VM_PROCESS, 1, 0, 50, /* urgent= */ true);
	put(FDSTORE_VM_LEDGER, 1, 0, 51, /* urgent= */ true);
	put(FDSTORE_PEER, 9, 0, 60, /* urgent= */ false);
	send_and_answer(&table.queues[FDSTORE_URGENT], KEEPER_BATCH);
	send_and_answer(&table.queues[FDSTORE_URGENT], 3);
	send_and_answer(&table.queues[FDSTORE_URGENT], 1); /* with a flag of its own */
	send_and_answer(&table.queues[FDSTORE_URGENT], 1);
	CU_ASSERT_TRUE(TAILQ_EMPTY(&table.queues[FDSTORE_URGENT]));
	send_and_answer(rest(), 1);
	CU_ASSERT_EQUAL(table.n_held, KEEPER_BATCH + 6);
	CU_ASSERT_EQUAL(table.n_posted_files, 0);
	fdstore_table_clear(&table);
}

static void test_drops(void)
{
	uint64_t asked;

	begin();
	put(FDSTORE_MEMORY, 1, 1, 11, /* urgent= */ true);
	drop(FDSTORE_MEMORY, 1, 1); /* nobody has heard of it */
	CU_ASSERT_PTR_NULL(fdstore_table_queue_from(&table, FDSTORE_URGENT));
	put(FDSTORE_MEMORY, 1, 2, 12, /* urgent= */ true);
	asked = send_next(&table.queues[FDSTORE_URGENT], KEEPER_PUT, 1);
	drop(FDSTORE_MEMORY, 1, 2); /* before it is answered */
	fdstore_table_answered(&table, asked, 0);
	CU_ASSERT_EQUAL(table.n_held, 0);
	asked = send_next(rest(), KEEPER_DROP, 1);
	drop(FDSTORE_MEMORY, 1, 2); /* once more */
	CU_ASSERT_PTR_NULL(rest());
	fdstore_table_answered(&table, asked, 0);
	CU_ASSERT_TRUE(RB_EMPTY(&table.entries));
	fdstore_table_clear(&table);
}

static void test_replacements(void)
{
	uint64_t first, second;

	begin();
	put(FDSTORE_VM_LEDGER, 1, 0, 11, /* urgent= */ true);
	first = send_next(&table.queues[FDSTORE_URGENT], KEEPER_PUT, 1);
	put(FDSTORE_VM_LEDGER, 1, 0, 12, /* urgent= */ true);
	fdstore_table_answered(&table, first, 0); /* of what it was */
	CU_ASSERT_EQUAL(table.n_held, 0);
	second = send_next(&table.queues[FDSTORE_URGENT], KEEPER_PUT, 1);
	fdstore_table_answered(&table, second, -EMFILE);
	CU_ASSERT_EQUAL(table.n_held, 0);
	drop(FDSTORE_VM_LEDGER, 1, 0); /* which it does not hold */
	CU_ASSERT_TRUE(RB_EMPTY(&table.entries));
	put(FDSTORE_VM_LEDGER, 1, 0, 13, /* urgent= */ true);
	send_and_answer(&table.queues[FDSTORE_URGENT], 1);
	drop(FDSTORE_VM_LEDGER, 1, 0);
	put(FDSTORE_VM_LEDGER, 1, 0, 14, /* urgent= */ true);
	CU_ASSERT_PTR_NULL(rest()); /* it is replaced */
	send_and_answer(&table.queues[FDSTORE_URGENT], 1);
	CU_ASSERT_EQUAL(table.n_held, 1);
	fdstore_table_clear(&table);
}

static void test_closers(void)
{
	struct counting_closer closer = {.closer = {count}};
	const struct keeper_id held = id_of(FDSTORE_MEMORY, 1, 1),
			       queued = id_of(FDSTORE_MEMORY, 1, 2);
	uint64_t asked;

	begin();
	CU_ASSERT_EQUAL(fdstore_table_adopt(&table, &held, 11), 0);
	CU_ASSERT_EQUAL(table.n_held, 1);
	fdstore_table_drop(&table, &held, 11, &closer.closer);
	CU_ASSERT_EQUAL(closer.closed, 0);
	asked = send_next(rest(), KEEPER_DROP, 1);
	CU_ASSERT_EQUAL(closer.closed, 0);
	fdstore_table_answered(&table, asked, 0);
	CU_ASSERT_TRUE(closer.closed == 1 && closer.last == 11);
	CU_ASSERT_EQUAL(fdstore_table_put(&table, &queued, 12, /* urgent= */ true), 0);
	fdstore_table_drop(&table, &queued, 12, &closer.closer);
	CU_ASSERT_TRUE(closer.closed == 2 && closer.last == 12);
	fdstore_table_drop(&table, &queued, 13, &closer.closer); /* which nobody knows */
	CU_ASSERT_TRUE(closer.closed == 3 && closer.last == 13);
	CU_ASSERT_EQUAL(fdstore_table_adopt(&table, &held, 14), 0);
	fdstore_table_drop(&table, &held, 14, &closer.closer);
	fdstore_table_lost(&table); /* the keeper's reference is gone, or the last */
	CU_ASSERT_TRUE(closer.closed == 4 && closer.last == 14);
	fdstore_table_clear(&table);
	CU_ASSERT_EQUAL(closer.closed, 4);
}

/* The next of what can wait: so many files, of which the first is that one. */
static void expect_next(int fd, uint32_t count)
{
	struct fdstore_queue *queue = rest();
	struct fdstore_batch batch;

	CU_ASSERT_PTR_NOT_NULL_FATAL(queue);
	fdstore_table_next(queue, &batch);
	CU_ASSERT_TRUE(batch.count == count && batch.fds[0] == fd);
	send_next(queue, KEEPER_PUT, count);
}

static void test_next_keeper(void)
{
	begin();
	put(FDSTORE_PEER, 1, 0, 15, /* urgent= */ true);
	put(FDSTORE_VM_LEDGER, 1, 0, 11, /* urgent= */ true);
	put(FDSTORE_MEMORY, 1, 5, 12, /* urgent= */ true);
	put(FDSTORE_VM_MAILBOX, 1, 0, 13, /* urgent= */ false);
	put(FDSTORE_MEMORY, 1, 6, 14, /* urgent= */ true);
	send_next(&table.queues[FDSTORE_URGENT], KEEPER_PUT, 4);
	fdstore_table_answered(&table, serial, 0);
	drop(FDSTORE_MEMORY, 1, 6);
	fdstore_table_lost(&table);
	CU_ASSERT_TRUE(TAILQ_EMPTY(&table.queues[FDSTORE_URGENT]) && TAILQ_EMPTY(&table.posted));
	CU_ASSERT_TRUE(table.n_held == 0 && table.n_posted_files == 0);
	send_next(rest(), KEEPER_DROP, 1); /* the next may be the same */
	CU_ASSERT_FALSE(fdstore_table_has_sent_vms(&table));
	expect_next(13, 2); /* and memory 5 */
	expect_next(11, 1); /* the ledger */
	CU_ASSERT_TRUE(fdstore_table_has_sent_vms(&table));
	expect_next(15, 1); /* a connection */
	CU_ASSERT_PTR_NULL(rest());
	fdstore_table_clear(&table);
}

/* While VMs are put to another keeper, a process connects and opens one more. */
static void test_made_meanwhile(void)
{
	begin();
	put(FDSTORE_MEMORY, 1, 5, 12, /* urgent= */ true);
	send_and_answer(&table.queues[FDSTORE_URGENT], 1);
	fdstore_table_lost(&table);
	put(FDSTORE_PEER, 3, 0, 15, /* urgent= */ false);
	put(FDSTORE_RESERVATIONS, 0, 0, 16, /* urgent= */ false);
	put(FDSTORE_VM_LEDGER, 2, 0, 21, /* urgent= */ false);
	put(FDSTORE_VM_MAILBOX, 2, 0, 22, /* urgent= */ false);
	expect_next(12, 2); /* and the mailbox */
	expect_next(16, 2); /* and the VM's ledger */
	expect_next(15, 1);
	fdstore_table_clear(&table);
}

/* Where the connection alone has ended, the same keeper has all still. */
static void test_same_keeper(void)
{
	begin();
	put(FDSTORE_MEMORY, 1, 5, 12, /* urgent= */ true);
	send_and_answer(&table.queues[FDSTORE_URGENT], 1);
	put(FDSTORE_MEMORY, 1, 6, 13, /* urgent= */ true);
	send_next(&table.queues[FDSTORE_URGENT], KEEPER_PUT, 1); /* its answer is lost */
	put(FDSTORE_MEMORY, 1, 7, 14, /* urgent= */ true);
	fdstore_table_lost(&table);
	drop(FDSTORE_MEMORY, 1, 5);
	drop(FDSTORE_MEMORY, 1, 6);
	drop(FDSTORE_MEMORY, 1, 7); /* which it has not been sent */
	fdstore_table_answered(&table, send_next(rest(), KEEPER_DROP, 2), 0);
	CU_ASSERT_TRUE(RB_EMPTY(&table.entries));
	fdstore_table_clear(&table);
}

static CU_TestInfo tests[] = {
	{"requests have as many as go together, in their order", test_batches},
	{"what is dropped", test_drops},
	{"what is put in the place of another", test_replacements},
	{"a file is closed once the keeper doesn't hold it, and once", test_closers},
	{"all is put to the next keeper, ledgers after VMs, then connections", test_next_keeper},
	{"what is made meanwhile is put in that order too", test_made_meanwhile},
	{"what the same keeper may hold is dropped there", test_same_keeper},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "custody_table", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
