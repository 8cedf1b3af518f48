/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ledgers: transactions, growing, files that are none, and writers killed anywhere: at random
 * moments, and after every single instruction of a transaction.
 */
#include "kernel/store/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "tests/lib/unit.h"

#define RECORD_SIZE 56
#define CAPACITY    64

static struct ledger *new_ledger(void)
{
	struct ledger *ledger = NULL;

	CU_ASSERT_EQUAL_FATAL(ledger_new("test", RECORD_SIZE, CAPACITY, &ledger), 0);
	return ledger;
}

/* A second one over the same file. */
static struct ledger *open_again(const struct ledger *ledger)
{
	struct ledger *again = NULL;
	int fd = fcntl(ledger_fd(ledger), F_DUPFD_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(ledger_open(fd, &again), 0);
	return again;
}

/* The record as text: "" where there is none. */
static const char *text_at(const struct ledger *ledger, uint32_t index)
{
	static char text[RECORD_SIZE + 1];
	const void *bytes;
	size_t length = 0;

	if (ledger_get(ledger, index, &bytes, &length) == 0)
		memcpy(text, bytes, length);
	text[length] = '\0';
	return text;
}

static void put_text(struct ledger *ledger, uint32_t index, const char *text)
{
	CU_ASSERT_EQUAL(ledger_put(ledger, index, text, strlen(text)), 0);
}

static void check_text(const struct ledger *ledger, uint32_t index, const char *expected)
{
	struct ledger *again = open_again(ledger);

	UNIT_ASSERT_ROW(strcmp(text_at(ledger, index), expected) == 0, "%u is \"%s\", not \"%s\"",
		index, text_at(ledger, index), expected);
	UNIT_ASSERT_ROW(strcmp(text_at(again, index), expected) == 0, "%u reads \"%s\", not \"%s\"",
		index, text_at(again, index), expected);
	ledger_free(again);
}

/* One after the other */

static void test_transactions(void)
{
	struct ledger *ledger = new_ledger();

	check_text(ledger, 0, "");
	put_text(ledger, 0, "a");
	put_text(ledger, 7, "bb");
	check_text(ledger, 0, "");
	ledger_commit(ledger);
	check_text(ledger, 0, "a");
	check_text(ledger, 7, "bb");
	put_text(ledger, 0, "first");
	put_text(ledger, 0, "second");
	CU_ASSERT_EQUAL(ledger_delete(ledger, 7), 0);
	check_text(ledger, 0, "a");
	check_text(ledger, 7, "bb");
	ledger_commit(ledger);
	check_text(ledger, 0, "second");
	check_text(ledger, 7, "");
	ledger_commit(ledger); /* of nothing */
	check_text(ledger, 0, "second");
	ledger_free(ledger);
}

static void test_abort(void)
{
	struct ledger *ledger = new_ledger();

	put_text(ledger, 0, "old");
	ledger_commit(ledger);
	put_text(ledger, 0, "dropped");
	put_text(ledger, 1, "dropped");
	ledger_abort(ledger);
	put_text(ledger, 2, "new");
	ledger_commit(ledger);
	check_text(ledger, 0, "old");
	check_text(ledger, 1, "");
	check_text(ledger, 2, "new");
	ledger_free(ledger);
}

/* What a dead writer has left must not come with the next transaction, which has its number. */
static void test_leftovers(void)
{
	struct ledger *ledger = new_ledger(), *next;

	put_text(ledger, 0, "old");
	put_text(ledger, 1, "old");
	ledger_commit(ledger);
	put_text(ledger, 0, "leftover");
	CU_ASSERT_EQUAL(ledger_delete(ledger, 1), 0);
	put_text(ledger, 3, "leftover");
	next = open_again(ledger);
	ledger_free(ledger);
	put_text(next, 2, "new");
	ledger_commit(next);
	check_text(next, 0, "old");
	check_text(next, 1, "old");
	check_text(next, 2, "new");
	check_text(next, 3, "");
	ledger_free(next);
}

static void test_limits(void)
{
	const char bytes[RECORD_SIZE + 1] = {0};
	struct ledger *ledger = new_ledger(), *none = NULL;

	CU_ASSERT_EQUAL(ledger_record_size(ledger), RECORD_SIZE);
	CU_ASSERT_EQUAL(ledger_capacity(ledger), CAPACITY);
	CU_ASSERT_EQUAL(ledger_put(ledger, CAPACITY, bytes, 1), -EINVAL);
	CU_ASSERT_EQUAL(ledger_put(ledger, UINT32_MAX, bytes, 1), -EINVAL);
	CU_ASSERT_EQUAL(ledger_put(ledger, 0, bytes, 0), -EINVAL);
	CU_ASSERT_EQUAL(ledger_put(ledger, 0, bytes, sizeof bytes), -EINVAL);
	CU_ASSERT_EQUAL(ledger_delete(ledger, CAPACITY), -EINVAL);
	CU_ASSERT_EQUAL(ledger_end(ledger), 0);
	CU_ASSERT_EQUAL(ledger_put(ledger, CAPACITY - 1, bytes, RECORD_SIZE), 0);
	CU_ASSERT_EQUAL(ledger_end(ledger), CAPACITY);
	CU_ASSERT_EQUAL(ledger_new("test", 0, 1, &none), -EINVAL);
	CU_ASSERT_EQUAL(ledger_new("test", 12, 1, &none), -EINVAL);
	CU_ASSERT_EQUAL(ledger_new("test", LEDGER_RECORD_SIZE_MAX + 8, 1, &none), -EINVAL);
	CU_ASSERT_EQUAL(ledger_new("test", 8, 0, &none), -EINVAL);
	CU_ASSERT_EQUAL(ledger_new("test", 8, LEDGER_CAPACITY_MAX + 1, &none), -EINVAL);
	CU_ASSERT_PTR_NULL(none);
	ledger_free(ledger);
	CU_ASSERT_PTR_NULL(ledger_free(NULL));
}

static uint32_t free_index(struct ledger *ledger)
{
	uint32_t index = 12345;

	CU_ASSERT_EQUAL(ledger_free_index(ledger, &index), 0);
	return index;
}

static void test_free_index(void)
{
	struct ledger *ledger = new_ledger();
	uint32_t index = 12345;

	for (uint32_t i = 0; i < CAPACITY; i++) {
		CU_ASSERT_EQUAL(free_index(ledger), i);
		CU_ASSERT_EQUAL(free_index(ledger), i);
		put_text(ledger, i, "x");
	}
	CU_ASSERT_EQUAL(ledger_free_index(ledger, &index), -ENOSPC);
	ledger_commit(ledger);
	CU_ASSERT_EQUAL(ledger_free_index(ledger, &index), -ENOSPC);
	CU_ASSERT_EQUAL(ledger_delete(ledger, 9), 0);
	CU_ASSERT_EQUAL(ledger_free_index(ledger, &index), -ENOSPC);
	CU_ASSERT_EQUAL(index, 12345);
	ledger_abort(ledger);
	CU_ASSERT_EQUAL(ledger_free_index(ledger, &index), -ENOSPC);
	CU_ASSERT_EQUAL(ledger_delete(ledger, 9), 0);
	ledger_commit(ledger);
	CU_ASSERT_EQUAL(free_index(ledger), 9);
	put_text(ledger, 9, "y");
	CU_ASSERT_EQUAL(ledger_free_index(ledger, &index), -ENOSPC);
	CU_ASSERT_EQUAL(ledger_delete(ledger, 9), 0); /* of this very transaction */
	CU_ASSERT_EQUAL(free_index(ledger), 9);
	ledger_free(ledger);
}

/* All records in each transaction: there is always room for them twice. */
static void test_all_at_once(void)
{
	struct ledger *ledger = new_ledger();

	for (unsigned turn = 0; turn < 10; turn++) {
		for (uint32_t i = 0; i < CAPACITY; i++)
			put_text(ledger, i, turn % 2 ? "odd" : "even");
		if (turn % 3 == 2)
			ledger_abort(ledger);
		else
			ledger_commit(ledger);
		for (uint32_t i = 0; turn % 4 == 3 && i < CAPACITY; i++)
			CU_ASSERT_EQUAL(ledger_delete(ledger, i), 0);
	}
	ledger_commit(ledger);
	check_text(ledger, 0, "odd");
	check_text(ledger, CAPACITY - 1, "odd");
	ledger_free(ledger);
}

/* What 80 records of a VM's cost, and that room for a million costs nothing. */
/* More than is mapped at first: what was read before is there still. */
static void test_many_records(void)
{
	const uint32_t many = 4096;
	struct ledger *ledger, *again;
	const void *bytes, *before;
	size_t length;

	CU_ASSERT_EQUAL_FATAL(ledger_new("test", RECORD_SIZE, many, &ledger), 0);
	put_text(ledger, 0, "the first");
	ledger_commit(ledger);
	CU_ASSERT_EQUAL_FATAL(ledger_get(ledger, 0, &before, &length), 0);
	for (uint32_t i = 1; i < many; i++)
		put_text(ledger, i, "another");
	ledger_commit(ledger);
	CU_ASSERT_EQUAL(memcmp(before, "the first", length), 0);
	again = open_again(ledger);
	for (uint32_t i = 1; i < many; i++)
		CU_ASSERT_EQUAL(ledger_get(again, i, &bytes, &length), 0);
	CU_ASSERT_STRING_EQUAL(text_at(again, 0), "the first");
	CU_ASSERT_TRUE(ledger_may_begin_with(again, 0, 't' | 'h' << 8));
	CU_ASSERT_FALSE(ledger_may_begin_with(again, 1, 't' | 'h' << 8));
	CU_ASSERT_FALSE(ledger_may_begin_with(again, many, 't' | 'h' << 8));
	ledger_free(again);
	ledger_free(ledger);
}

static void test_memory(void)
{
	const char bytes[RECORD_SIZE] = {0};
	uint64_t resident = 0;
	struct ledger *ledger;

	CU_ASSERT_EQUAL_FATAL(ledger_new("test", RECORD_SIZE, LEDGER_CAPACITY_MAX, &ledger), 0);
	for (uint32_t i = 0; i < 80; i++)
		CU_ASSERT_EQUAL(ledger_put(ledger, i, bytes, sizeof bytes), 0);
	ledger_commit(ledger);
	ledger_free(open_again(ledger));
	if (memory_file_resident(ledger_fd(ledger), &resident) == -ENOSYS)
		unit_skip("the kernel has no cachestat (Linux 6.5)");
	else
		CU_ASSERT_TRUE(resident > 0 && resident <= 8 * 1024);
	printf("# 80 records of %d bytes: %llu bytes\n", RECORD_SIZE, (unsigned long long)resident);
	ledger_free(ledger);
}

/* Beside an array of what it should hold */

static void check_beside(const struct ledger *ledger, const unsigned char *lengths, unsigned seed)
{
	unsigned wrong = 0;

	for (uint32_t i = 0; i < CAPACITY; i++) {
		const unsigned char *bytes;
		size_t length = 0;

		if (ledger_get(ledger, i, (const void **)&bytes, &length) == 0)
			wrong += bytes[0] != length || bytes[length - 1] != length;
		wrong += length != lengths[i];
	}
	UNIT_ASSERT_ROW(wrong == 0, "seed %u: %u records are wrong", seed, wrong);
}

static void random_change(struct ledger *ledger, unsigned char *lengths)
{
	uint32_t index = (uint32_t)random() % CAPACITY;
	unsigned char bytes[RECORD_SIZE], length = (unsigned char)(random() % (RECORD_SIZE + 1));

	memset(bytes, length, sizeof bytes);
	lengths[index] = length;
	CU_ASSERT_EQUAL(length > 0 ? ledger_put(ledger, index, bytes, length)
				   : ledger_delete(ledger, index),
		0);
}

static void random_transactions(unsigned seed)
{
	unsigned char kept[CAPACITY] = {0}, lengths[CAPACITY];
	struct ledger *ledger = new_ledger(), *again;

	srandom(seed);
	for (unsigned i = 0; i < 100; i++) {
		memcpy(lengths, kept, sizeof kept);
		for (long changes = random() % 8; changes > 0; changes--)
			random_change(ledger, lengths);
		check_beside(ledger, kept, seed);
		again = open_again(ledger);
		check_beside(again, kept, seed);
		if (random() % 4 == 0) { /* its writer is followed by another */
			ledger_free(ledger);
			ledger = again;
			continue;
		}
		ledger_free(again);
		if (random() % 4 == 0) {
			ledger_abort(ledger);
			continue;
		}
		ledger_commit(ledger);
		memcpy(kept, lengths, sizeof kept);
	}
	ledger_free(ledger);
}

static void test_beside_an_array(void)
{
	for (unsigned seed = 1; seed <= 20; seed++)
		random_transactions(seed);
}

static int new_memfd(size_t length, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)length), 0);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* A copy of the ledger's file, of another length maybe; not sealed yet. */
static int copy_file(const struct ledger *ledger, off_t longer)
{
	char bytes[65536];
	ssize_t length = pread(ledger_fd(ledger), bytes, sizeof bytes, 0);
	int fd = new_memfd((size_t)(length + longer), 0);

	CU_ASSERT_TRUE_FATAL(length > 0 && length < (ssize_t)sizeof bytes);
	CU_ASSERT_EQUAL(pwrite(fd, bytes, (size_t)length + (size_t)(longer < 0 ? longer : 0), 0),
		length + (longer < 0 ? longer : 0));
	return fd;
}

static int seal(int fd)
{
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	return fd;
}

/* Killed writers: amounts move between accounts, and each account has a twin. */

#define ACCOUNTS 16
#define AMOUNT   1000

struct account {
	int64_t amount;
	uint64_t filler[4]; /* all alike */
};

static struct account account_of(int64_t amount)
{
	uint64_t word = (uint64_t)amount * 3;

	return (struct account){amount, {word, word, word, word}};
}

static void put_account(struct ledger *ledger, uint32_t index, int64_t amount)
{
	struct account account = account_of(amount);

	ledger_put(ledger, index, &account, sizeof account);
	ledger_put(ledger, ACCOUNTS + index, &account, sizeof account);
}

/* -1 where there is none or it is not whole. */
static int64_t amount_at(const struct ledger *ledger, uint32_t index)
{
	struct account account, whole;
	const void *bytes;
	size_t length;

	if (ledger_get(ledger, index, &bytes, &length) < 0 || length != sizeof account)
		return -1;
	memcpy(&account, bytes, sizeof account);
	whole = account_of(account.amount);
	return memcmp(&account, &whole, sizeof whole) == 0 ? account.amount : -1;
}

static struct ledger *new_accounts(void)
{
	struct ledger *ledger = new_ledger();

	for (uint32_t i = 0; i < ACCOUNTS; i++)
		put_account(ledger, i, AMOUNT);
	ledger_commit(ledger);
	return ledger;
}

static void move_amount(struct ledger *ledger, uint32_t from, uint32_t to, int64_t amount)
{
	put_account(ledger, from, amount_at(ledger, from) - amount);
	put_account(ledger, to, amount_at(ledger, to) + amount);
}

static void check_accounts(const struct ledger *ledger, unsigned row)
{
	unsigned wrong = 0;
	int64_t sum = 0;

	for (uint32_t i = 0; i < ACCOUNTS; i++) {
		int64_t amount = amount_at(ledger, i);

		wrong += amount < 0 || amount != amount_at(ledger, ACCOUNTS + i);
		sum += amount;
	}
	UNIT_ASSERT_ROW(wrong == 0 && sum == ACCOUNTS * AMOUNT,
		"row %u: %u accounts wrong, sum %lld", row, wrong, (long long)sum);
}

/* Until it is killed. Says when it has begun. */
static void move_for_ever(struct ledger *ledger, unsigned seed, int begun)
{
	srandom(seed);
	if (write(begun, "", 1) != 1)
		_exit(EXIT_FAILURE);
	for (;;) {
		uint32_t from = (uint32_t)random() % ACCOUNTS, to = (uint32_t)random() % ACCOUNTS;
		int64_t most = amount_at(ledger, from);

		if (from == to || most <= 0)
			continue;
		move_amount(ledger, from, to, 1 + random() % most);
		if (random() % 8 == 0)
			ledger_abort(ledger);
		else
			ledger_commit(ledger);
	}
}

/* Returns another ledger over the same file, as a successor has it. */
static struct ledger *kill_writer(struct ledger *ledger, unsigned seed)
{
	const struct timespec pause = {.tv_nsec = random() % 500000};
	struct ledger *next;
	int begun[2], status;
	pid_t pid;
	char byte;

	CU_ASSERT_EQUAL_FATAL(pipe2(begun, O_CLOEXEC), 0);
	pid = fork();
	CU_ASSERT_TRUE_FATAL(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		move_for_ever(ledger, seed, begun[1]);
	}
	close(begun[1]);
	CU_ASSERT_EQUAL(read(begun[0], &byte, 1), 1);
	close(begun[0]);
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	next = open_again(ledger);
	ledger_free(ledger);
	return next;
}

static void test_killed_at_random(void)
{
	struct ledger *ledger = new_accounts();

	for (unsigned i = 0; i < 400; i++) {
		srandom(i);
		ledger = kill_writer(ledger, i);
		check_accounts(ledger, i);
	}
	ledger_free(ledger);
}

/* Between two SIGSTOPs of its own: one transaction of four records, one of them new, and a
 * deletion. */
static void transact_traced(struct ledger *ledger)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(77);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	raise(SIGSTOP);
	move_amount(ledger, 3, 5, 400);
	ledger_put(ledger, 2 * ACCOUNTS, "new", 3);
	ledger_delete(ledger, 2 * ACCOUNTS + 1);
	ledger_commit(ledger);
	raise(SIGSTOP);
	_exit(EXIT_SUCCESS);
}

/* 0: before the transaction, 1: after it, -1: neither. */
static int state_of(const struct ledger *ledger)
{
	bool added = strcmp(text_at(ledger, 2 * ACCOUNTS), "new") == 0;
	bool absent = text_at(ledger, 2 * ACCOUNTS)[0] == '\0';
	bool deleted = text_at(ledger, 2 * ACCOUNTS + 1)[0] == '\0';
	int64_t from = amount_at(ledger, 3), to = amount_at(ledger, 5);

	if (amount_at(ledger, ACCOUNTS + 3) != from || amount_at(ledger, ACCOUNTS + 5) != to)
		return -1;
	if (from == AMOUNT && to == AMOUNT && absent && !deleted)
		return 0;
	return from == AMOUNT - 400 && to == AMOUNT + 400 && added && deleted ? 1 : -1;
}

/* What a successor sees that has written there, and the one after it. */
static int state_after_writing(const struct ledger *written)
{
	struct ledger *ledger, *next;
	int state;

	CU_ASSERT_EQUAL_FATAL(ledger_open(seal(copy_file(written, 0)), &ledger), 0);
	put_text(ledger, 2 * ACCOUNTS + 2, "a successor's");
	CU_ASSERT_EQUAL(ledger_delete(ledger, 2 * ACCOUNTS + 3), 0);
	ledger_commit(ledger);
	state = state_of(ledger);
	next = open_again(ledger);
	if (state_of(next) != state || text_at(next, 2 * ACCOUNTS + 3)[0] != '\0')
		state = -1;
	ledger_free(next);
	ledger_free(ledger);
	return state;
}

/* As who starts after its end sees it. */
static int state_seen(const struct ledger *written)
{
	struct ledger *ledger = open_again(written);
	int state = state_of(ledger);

	ledger_free(ledger);
	return state_after_writing(written) == state ? state : -1;
}

static bool step(pid_t pid)
{
	int status;

	return ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

static void follow(pid_t pid, const struct ledger *reader)
{
	unsigned steps = 0, changes = 0, wrong = 0;
	int state = 0;

	for (; step(pid); steps++) {
		int seen = state_seen(reader);

		wrong += seen < state;
		changes += seen != state;
		state = seen;
	}
	printf("# looked at after each of %u instructions\n", steps);
	CU_ASSERT_TRUE(steps > 200);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL(state, 1);
}

static void test_killed_at_every_instruction(void)
{
	struct ledger *ledger = new_accounts(), *reader;
	int status;
	pid_t pid;

	put_text(ledger, 2 * ACCOUNTS + 1, "to be deleted");
	put_text(ledger, 2 * ACCOUNTS + 3, "by a successor");
	ledger_commit(ledger);
	reader = open_again(ledger);
	pid = fork();
	CU_ASSERT_TRUE_FATAL(pid >= 0);
	if (pid == 0)
		transact_traced(ledger);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	if (WIFSTOPPED(status)) {
		follow(pid, reader);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	} else {
		CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 77);
		unit_skip("ptrace(2) is not allowed here");
	}
	ledger_free(reader);
	ledger_free(ledger);
}

/* What is none */

static void check_none(int fd, int expected, const char *what)
{
	struct ledger *ledger = NULL;
	int r = ledger_open(fd, &ledger);

	UNIT_ASSERT_ROW(r == expected && !ledger, "%s: %d", what, r);
	UNIT_ASSERT_ROW(fd < 0 || fcntl(fd, F_GETFD) >= 0, "%s: its fd was closed", what);
	close(fd);
}

static void test_none(void)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	int ends[2];

	CU_ASSERT_EQUAL(pipe(ends), 0);
	close(ends[1]);
	check_none(-1, -EBADF, "no fd");
	check_none(ends[0], -EBADMSG, "a pipe");
	check_none(open("/dev/null", O_RDWR), -EBADMSG, "/dev/null");
	check_none(new_memfd(8192, 0), -EBADMSG, "not sealed");
	check_none(new_memfd(8192, F_SEAL_SHRINK), -EBADMSG, "not sealed against growing");
	check_none(new_memfd(8192, seals), -EBADMSG, "zeroes");
	check_none(new_memfd(0, seals), -EBADMSG, "empty");
	check_none(new_memfd(63, seals), -EBADMSG, "shorter than a header");
}

static int copy_with_byte(const struct ledger *ledger, off_t offset, unsigned char byte)
{
	int fd = copy_file(ledger, 0);

	CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, offset), 1);
	return seal(fd);
}

static void test_changed_headers(void)
{
	struct ledger *ledger = new_accounts();

	check_none(copy_file(ledger, 0), -EBADMSG, "a copy that isn't sealed");
	check_none(seal(copy_file(ledger, 1)), -EBADMSG, "longer");
	check_none(seal(copy_file(ledger, -1)), -EBADMSG, "shorter");
	check_none(copy_with_byte(ledger, 0, 'G'), -EBADMSG, "another magic");
	check_none(copy_with_byte(ledger, 8, 4), -EPROTONOSUPPORT, "a later version");
	check_none(copy_with_byte(ledger, 8, 0), -EBADMSG, "version 0");
	check_none(copy_with_byte(ledger, 8, 1), -EBADMSG, "an earlier version");
	check_none(copy_with_byte(ledger, 12, 48), -EBADMSG, "another record size");
	check_none(copy_with_byte(ledger, 16, 63), -EBADMSG, "another capacity");
	check_none(copy_with_byte(ledger, 20, 2 * ACCOUNTS + 1), -EBADMSG, "another end");
	check_none(copy_with_byte(ledger, 24, 77), -EBADMSG, "a transaction that never was");
	ledger_free(ledger);
}

/* Any changed bytes: what can still be opened can be used. */

static void use(struct ledger *ledger)
{
	const void *bytes;
	size_t length;
	uint32_t index;

	for (uint32_t i = 0; i < ledger_capacity(ledger); i++) {
		if (ledger_get(ledger, i, &bytes, &length) < 0)
			continue;
		CU_ASSERT_TRUE(length > 0 && length <= RECORD_SIZE);
	}
	if (ledger_free_index(ledger, &index) == 0)
		put_text(ledger, index, "x");
	ledger_delete(ledger, 0);
	ledger_commit(ledger);
}

static void flip(int fd, uint32_t range)
{
	off_t offset = random() % range;
	unsigned char byte;

	CU_ASSERT_EQUAL(pread(fd, &byte, 1, offset), 1);
	byte ^= (unsigned char)(1 << random() % 8);
	CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, offset), 1);
}

/* One bit of what is committed: found, or nothing is lost. */
static void test_one_bit(void)
{
	struct ledger *ledger = new_accounts();
	unsigned found = 0;

	srandom(1);
	for (unsigned i = 0; i < 2000; i++) {
		int fd = copy_file(ledger, 0);
		struct ledger *changed;

		flip(fd, 64 + 2 * ACCOUNTS * (16 + RECORD_SIZE));
		if (ledger_open(seal(fd), &changed) == 0) {
			check_accounts(changed, i);
			ledger_free(changed);
			continue;
		}
		found++;
		close(fd);
	}
	printf("# %u of 2000 changes of one bit were found\n", found);
	CU_ASSERT_TRUE(found > 0);
	ledger_free(ledger);
}

static void test_random_bytes(void)
{
	struct ledger *ledger = new_accounts();

	srandom(2);
	for (unsigned i = 0; i < 2000; i++) {
		int fd = copy_file(ledger, 0);
		struct ledger *changed;

		for (long flips = 1 + random() % 16; flips > 0; flips--)
			flip(fd, i % 2 ? 64 : 64 + 2 * CAPACITY * (16 + RECORD_SIZE));
		if (ledger_open(seal(fd), &changed) == 0) {
			for (long flips = 1 + random() % 16; flips > 0; flips--)
				flip(fd, 64 + 2 * CAPACITY * (16 + RECORD_SIZE));
			use(changed);
			ledger_free(changed);
		} else {
			close(fd);
		}
	}
	ledger_free(ledger);
}

static void test_fds(void)
{
	size_t before = unit_open_fds();
	struct ledger *ledger = new_ledger();

	CU_ASSERT_EQUAL(unit_open_fds(), before + 1);
	CU_ASSERT_EQUAL(fcntl(ledger_fd(ledger), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CU_ASSERT_TRUE(ftruncate(ledger_fd(ledger), 0) < 0);
	ledger_free(open_again(ledger));
	ledger_free(ledger);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

static CU_TestInfo tests[] = {
	{"transactions", test_transactions},
	{"aborting", test_abort},
	{"what a dead writer has left", test_leftovers},
	{"limits", test_limits},
	{"free indexes", test_free_index},
	{"all at once", test_all_at_once},
	{"more than is mapped at first", test_many_records},
	{"memory", test_memory},
	{"random transactions beside an array", test_beside_an_array},
	{"its fd", test_fds},
	CU_TEST_INFO_NULL,
};

static CU_TestInfo killed[] = {
	{"at random moments", test_killed_at_random},
	{"at every instruction", test_killed_at_every_instruction},
	CU_TEST_INFO_NULL,
};

static CU_TestInfo wrong[] = {
	{"no ledgers", test_none},
	{"changed headers", test_changed_headers},
	{"one changed bit", test_one_bit},
	{"random changes", test_random_bytes},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "ledger", .pTests = tests},
		{.pName = "killed", .pTests = killed},
		{.pName = "wrong", .pTests = wrong},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
