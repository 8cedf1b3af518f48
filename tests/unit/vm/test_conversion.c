/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversions: which ranges are refused, what is left to convert of the others, and what follows
 * from how far that came.
 */
#include "daemon/vm/conversion.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/base/helper_process.h"
#include "daemon/release/discard.h"
#include "daemon/request/deferred_answer.h"
#include "tests/lib/private_vm.h"
#include "tests/lib/unit.h"

#define P 4096ull

/*
 * In pages, the guest's memory is [0, 8) and [8, 16) in two slots with a memfd each as the other
 * half; [20, 24) is the VMM's own, [24, 28) is pending, [28, 32) has no other half.
 */
#define LIMIT    6
#define PART_MAX 5

/* Pages; the list of a row ends with an empty one. */
struct part {
	uint64_t start, size;
};

static struct private_vm test;
static struct memory *memory, *shared[2];
static size_t fds;

static struct slot *bind_slot(uint32_t number, uint64_t start, uint64_t pages, struct memory *bound,
	struct memory *other, uint64_t other_offset)
{
	const struct slot_request request = {
		.number = number,
		.guest_phys_addr = start * P,
		.memory_size = pages * P,
		.memory = bound,
		.guest_memfd_offset = start * P,
		.shared_memory = other,
		.shared_offset = other_offset * P,
	};

	return private_vm_slot(&test, &request);
}

static void set_up(void)
{
	CU_ASSERT_EQUAL_FATAL(helper_process_reserve(), 0);
	fds = unit_open_fds();
	private_vm_init(&test, &backend_kvm);
	test.gmemd.config.private_ranges_per_vm = LIMIT;
	memory = private_vm_memory(&test, BACKING_GUEST_MEMFD, 32 * P);
	shared[0] = private_vm_memory(&test, BACKING_MEMFD, 8 * P);
	shared[1] = private_vm_memory(&test, BACKING_MEMFD, 12 * P);
	bind_slot(0, 0, 8, memory, shared[0], 0);
	bind_slot(1, 8, 8, memory, shared[1], 4);
	bind_slot(2, 20, 4, NULL, NULL, 0);
	bind_slot(3, 24, 4, memory, NULL, 0)->state = OBJECT_PENDING;
	bind_slot(4, 28, 4, memory, NULL, 0);
}

static void tear_down(void)
{
	private_vm_end(&test);
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
}

/* Planning */

static int plan(enum convert_to to, bool discard, const struct part *asked,
	struct conversion_plan *ret, size_t *ret_index)
{
	struct guest_range ranges[PART_MAX];
	struct memory_convert_parameters parameters = {
		.to = to, .discard = discard, .ranges = {.items = ranges}};

	for (; asked[parameters.ranges.count].size > 0; parameters.ranges.count++) {
		const struct part *part = &asked[parameters.ranges.count];

		ranges[parameters.ranges.count] =
			(struct guest_range){part->start * P, part->size * P};
	}
	return conversion_plan(test.vm, &parameters, ret, ret_index);
}

static void set_private(const struct part *parts)
{
	ranges_clear(&test.vm->private_ranges);
	for (; parts->size > 0; parts++)
		ranges_add(&test.vm->private_ranges, parts->start * P, parts->size * P);
}

static bool same(const struct guest_range *ranges, size_t count, const struct part *parts)
{
	size_t i = 0;

	for (; i < count && parts[i].size > 0; i++) {
		if (ranges[i].guest_phys_addr != parts[i].start * P ||
			ranges[i].size != parts[i].size * P)
			return false;
	}
	return i == count && parts[i].size == 0;
}

static const struct {
	struct part private[PART_MAX];
	enum convert_to to;
	struct part asked[PART_MAX], planned[PART_MAX], settled[PART_MAX];
} plans[] = {
	/* Touching ranges are one, across slots, in any order. */
	{{{0}}, CONVERT_TO_PRIVATE, {{2, 1}}, {{2, 1}}, {{0}}},
	{{{0}}, CONVERT_TO_PRIVATE, {{2, 1}, {3, 2}}, {{2, 3}}, {{0}}},
	{{{0}}, CONVERT_TO_PRIVATE, {{0, 8}, {8, 8}}, {{0, 16}}, {{0}}},
	{{{0}}, CONVERT_TO_PRIVATE, {{5, 6}}, {{5, 6}}, {{0}}},
	{{{0}}, CONVERT_TO_PRIVATE, {{9, 1}, {3, 2}, {8, 1}, {1, 1}}, {{1, 1}, {3, 2}, {8, 2}},
		{{0}}},
	/* What is as wanted is left out at the ends, and in the middle stays. */
	{{{2, 2}}, CONVERT_TO_PRIVATE, {{2, 2}}, {{0}}, {{2, 2}}},
	{{{2, 2}}, CONVERT_TO_PRIVATE, {{1, 2}}, {{1, 1}}, {{2, 1}}},
	{{{2, 2}}, CONVERT_TO_PRIVATE, {{3, 2}}, {{4, 1}}, {{3, 1}}},
	{{{2, 2}}, CONVERT_TO_PRIVATE, {{1, 4}}, {{1, 4}}, {{0}}},
	{{{2, 2}, {6, 2}}, CONVERT_TO_PRIVATE, {{2, 6}}, {{4, 2}}, {{2, 2}, {6, 2}}},
	{{{2, 1}, {4, 1}, {6, 1}}, CONVERT_TO_PRIVATE, {{2, 5}}, {{3, 3}}, {{2, 1}, {6, 1}}},
	{{{2, 2}}, CONVERT_TO_SHARED, {{0, 16}}, {{2, 2}}, {{0, 2}, {4, 12}}},
	{{{2, 2}, {10, 1}}, CONVERT_TO_SHARED, {{0, 16}}, {{2, 9}}, {{0, 2}, {11, 5}}},
	{{{2, 4}}, CONVERT_TO_SHARED, {{3, 1}}, {{3, 1}}, {{0}}},
	{{{2, 4}}, CONVERT_TO_SHARED, {{4, 4}, {0, 3}}, {{2, 1}, {4, 2}}, {{0, 2}, {6, 2}}},
	{{{0}}, CONVERT_TO_SHARED, {{0, 16}}, {{0}}, {{0, 16}}},
	{{{0}}, CONVERT_TO_SHARED, {{4, 4}, {0, 4}, {9, 1}}, {{0}}, {{0, 8}, {9, 1}}},
};

static void test_plans(void)
{
	for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
		struct conversion_plan planned;
		size_t index;

		set_private(plans[i].private);
		UNIT_ASSERT_ROW(plan(plans[i].to, true, plans[i].asked, &planned, &index) == 0,
			"plan %zu", i);
		UNIT_ASSERT_ROW(
			same(planned.ranges, planned.count, plans[i].planned), "plan %zu", i);
		UNIT_ASSERT_ROW(same(planned.unchanged, planned.n_unchanged, plans[i].settled),
			"plan %zu: settled", i);
		conversion_plan_clear(&planned);
	}
}

/* What may be either is converted whatever it is noted as, until the kernel has set it. */
static void test_uncertain(void)
{
	static const struct part asked[] = {{0, 8}, {0}}, planned[] = {{2, 4}, {0}}, none[] = {{0}};
	struct conversion_plan first, again, later;
	struct conversion *conversion;
	const struct budget *refused;
	uint64_t bytes;
	size_t index;

	set_private((const struct part[]){{2, 2}, {0}});
	ranges_add(&test.vm->uncertain, 2 * P, P);
	ranges_add(&test.vm->uncertain, 5 * P, P);
	CU_ASSERT_EQUAL(plan(CONVERT_TO_SHARED, true, asked, &first, &index), 0);
	CU_ASSERT_TRUE(same(first.ranges, first.count, planned));
	CU_ASSERT_EQUAL_FATAL(conversion_new(&first, &conversion), 0);
	CU_ASSERT_EQUAL(conversion_begin(test.vm, conversion, &refused, &bytes), 0);
	CU_ASSERT_EQUAL(conversion_end(test.vm, conversion, 0, 1, 0), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->uncertain), 2 * P); /* the kernel has set nothing */
	CU_ASSERT_EQUAL(conversion_begin(test.vm, conversion, &refused, &bytes), 0);
	CU_ASSERT_EQUAL(conversion_end(test.vm, conversion, 0, 1, 1), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->uncertain), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->private_ranges), 0);
	CU_ASSERT_EQUAL(plan(CONVERT_TO_SHARED, true, asked, &later, &index), 0);
	CU_ASSERT_TRUE(same(later.ranges, later.count, none));
	conversion_unref(conversion);
	conversion_plan_clear(&later);
	conversion_plan_clear(&first);
	/* Private and uncertain: private again. */
	set_private((const struct part[]){{0, 8}, {0}});
	ranges_add(&test.vm->uncertain, 2 * P, 4 * P);
	CU_ASSERT_EQUAL(plan(CONVERT_TO_PRIVATE, true, asked, &again, &index), 0);
	CU_ASSERT_TRUE(same(again.ranges, again.count, planned));
	conversion_plan_clear(&again);
	ranges_clear(&test.vm->uncertain);
}

static const struct {
	struct part asked[PART_MAX];
	enum conversion_fault fault;
	size_t index;
} faults[] = {
	{{{16, 1}}, CONVERSION_UNBOUND, 0},
	{{{0, 1}, {19, 1}}, CONVERSION_UNBOUND, 1},
	{{{32, 1}}, CONVERSION_UNBOUND, 0},
	{{{0, 1}, {1, 1}, {1ull << 50, 1}}, CONVERSION_UNBOUND, 2},
	{{{20, 1}}, CONVERSION_UNBOUND, 0},
	{{{15, 2}}, CONVERSION_LEAVES, 0},
	{{{0, 1}, {8, 9}}, CONVERSION_LEAVES, 1},
	{{{0, 32}}, CONVERSION_LEAVES, 0},
	{{{0, (uint64_t)INT64_MAX / P}}, CONVERSION_LEAVES, 0},
	{{{31, 2}}, CONVERSION_LEAVES, 0},
	{{{24, 1}}, CONVERSION_BUSY, 0},
	{{{0, 1}, {27, 2}}, CONVERSION_BUSY, 1},
	{{{3, 1}, {3, 1}}, CONVERSION_REPEATED, 1},
	{{{3, 2}, {8, 1}, {4, 1}}, CONVERSION_REPEATED, 2},
	{{{8, 1}, {4, 4}, {0, 5}}, CONVERSION_REPEATED, 2},
	{{{0, 16}, {15, 1}}, CONVERSION_REPEATED, 1},
	/* An address is looked at before what it overlaps. */
	{{{3, 1}, {3, 1}, {16, 1}}, CONVERSION_UNBOUND, 2},
};

/* Whatever is there can be shared. */
static bool is_of_binding(enum conversion_fault fault)
{
	return fault == CONVERSION_UNBOUND || fault == CONVERSION_LEAVES;
}

static void test_faults(void)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		for (unsigned to = 0; to < 2; to++) {
			struct conversion_plan planned;
			size_t index = 99;
			int r;

			if (to == CONVERT_TO_SHARED && is_of_binding(faults[i].fault))
				continue;
			r = plan(to, true, faults[i].asked, &planned, &index);

			UNIT_ASSERT_ROW(r == (int)faults[i].fault && index == faults[i].index,
				"fault %zu: %d at %zu", i, r, index);
		}
	}
}

/* What was left private, and has no slot or the VMM's own memory by now. */
static void test_left_private(void)
{
	static const struct part left[] = {{14, 8}, {40, 2}, {0}},
				 shared_again[] = {{14, 8}, {40, 1}, {0}};
	struct conversion_plan planned;
	size_t index;

	set_private(left);
	CU_ASSERT_EQUAL_FATAL(plan(CONVERT_TO_SHARED, true, (struct part[]){{12, 12}, {40, 1}, {0}},
				      &planned, &index),
		0);
	CU_ASSERT_TRUE(same(planned.ranges, planned.count, shared_again));
	conversion_plan_clear(&planned);
	set_private((const struct part[]){{0}});
}

static int plan_and_clear(enum convert_to to, const struct part *asked)
{
	struct conversion_plan planned;
	size_t index;
	int r = plan(to, true, asked, &planned, &index);

	if (r == CONVERSION_FITS)
		conversion_plan_clear(&planned);
	return r;
}

/* Of five pieces where six may be, and of six. */
static const struct {
	enum convert_to to;
	struct part asked[PART_MAX];
	bool fits_five, fits_six;
} pieces[] = {
	{CONVERT_TO_PRIVATE, {{12, 1}}, true, false},
	{CONVERT_TO_PRIVATE, {{12, 1}, {14, 1}}, false, false},
	{CONVERT_TO_PRIVATE, {{3, 1}, {1, 1}, {11, 1}}, true, true},
	{CONVERT_TO_PRIVATE, {{0, 16}}, true, true},
	{CONVERT_TO_SHARED, {{9, 1}}, true, false},
	{CONVERT_TO_SHARED, {{8, 1}, {0, 1}, {2, 1}}, true, true},
	{CONVERT_TO_SHARED, {{10, 2}}, true, true},
	{CONVERT_TO_SHARED, {{0, 16}}, true, true},
};

/* At the limit, what makes no more pieces goes on. */
static void test_pieces(void)
{
	static const struct part five[] = {{0, 1}, {2, 1}, {4, 1}, {6, 1}, {8, 3}, {0}};

	set_private(five);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
		UNIT_ASSERT_ROW(
			plan_and_clear(pieces[i].to, pieces[i].asked) ==
				(pieces[i].fits_five ? CONVERSION_FITS : CONVERSION_TOO_MANY),
			"row %zu of five", i);
	ranges_add(&test.vm->private_ranges, 28 * P, P);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
		UNIT_ASSERT_ROW(
			plan_and_clear(pieces[i].to, pieces[i].asked) ==
				(pieces[i].fits_six ? CONVERSION_FITS : CONVERSION_TOO_MANY),
			"row %zu of six", i);
}

/* What comes of them */

/* A conversion of these ranges that was begun. */
static struct conversion *begin(enum convert_to to, bool discard, const struct part *asked)
{
	const struct budget *refused = NULL;
	struct conversion *conversion = NULL;
	struct conversion_plan planned;
	uint64_t bytes;
	size_t index;

	CU_ASSERT_EQUAL_FATAL(plan(to, discard, asked, &planned, &index), CONVERSION_FITS);
	CU_ASSERT_EQUAL_FATAL(conversion_new(&planned, &conversion), 0);
	conversion_plan_clear(&planned);
	CU_ASSERT_EQUAL(conversion_begin(test.vm, conversion, &refused, &bytes), 0);
	return conversion;
}

static uint64_t bytes_gone;

static void note_gone(struct discard *discard, struct vm *vm, uint64_t bytes)
{
	CU_ASSERT_PTR_EQUAL(vm, test.vm);
	CU_ASSERT_EQUAL(ranges_total(&vm->discarding), 0);
	bytes_gone = bytes;
	discard->gmemd = NULL;
}

/* The bytes that were discarded, by the page worker where there were any. */
static uint64_t discard(enum convert_to state, const struct guest_range *ranges, size_t count)
{
	struct discard discard = {.gmemd = &test.gmemd, .done = note_gone};
	int r = discard_begin(&discard, test.vm, state, ranges, count, &bytes_gone);

	CU_ASSERT_TRUE_FATAL(r >= 0);
	while (r == REQUEST_DEFERRED && discard.gmemd)
		event_base_loop(test.gmemd.base, EVLOOP_ONCE);
	return bytes_gone;
}

/* The bytes that were discarded. */
static uint64_t end(struct conversion *conversion, unsigned done)
{
	uint64_t discarded = 0;

	if (conversion->discard)
		discarded = discard(conversion->to, conversion->ranges, done);
	CU_ASSERT_EQUAL(conversion_end(test.vm, conversion, 0, conversion->count, done), 0);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), 0);
	conversion_unref(conversion);
	return discarded;
}

static bool private_is(const struct part *parts)
{
	struct range_place place;
	const struct range *range = ranges_from(&test.vm->private_ranges, 0, &place);

	for (; range && parts->size > 0; range = ranges_next(&place), parts++) {
		if (range->start != parts->start * P ||
			range->end != (parts->start + parts->size) * P)
			return false;
	}
	return !range && parts->size == 0;
}

static void fill(const struct memory *file)
{
	for (uint64_t at = 0; at < file->size; at += P)
		CU_ASSERT_EQUAL(pwrite(file->fd, "full", 4, (off_t)at), 4);
}

/* Whether the file lacks the pages of [start, start + size) and has all others. */
static bool lacks(const struct memory *file, uint64_t start, uint64_t size)
{
	for (uint64_t at = 0; at < file->size / P; at++) {
		bool expected = at < start || at >= start + size;
		uint64_t bytes;

		if (memory_file_resident_range(file->fd, at * P, P, &bytes) < 0)
			return false;
		if (bytes != (expected ? P : 0))
			return false;
	}
	return true;
}

/* The half that went stale, at its offsets; the other and all neighbours stay. */
static void test_punched(void)
{
	static const struct part asked[] = {{5, 6}, {0}}, none[] = {{0}};

	fill(memory);
	fill(shared[0]);
	fill(shared[1]);
	CU_ASSERT_EQUAL(end(begin(CONVERT_TO_PRIVATE, true, asked), 1), 6 * P);
	CU_ASSERT_TRUE(private_is(asked));
	CU_ASSERT_TRUE(lacks(memory, 0, 0));
	CU_ASSERT_TRUE(lacks(shared[0], 5, 3));
	CU_ASSERT_TRUE(lacks(shared[1], 4, 3));
	fill(shared[0]);
	fill(shared[1]);
	CU_ASSERT_EQUAL(end(begin(CONVERT_TO_SHARED, true, asked), 1), 6 * P);
	CU_ASSERT_TRUE(private_is(none));
	CU_ASSERT_TRUE(lacks(memory, 5, 6));
	CU_ASSERT_TRUE(lacks(shared[0], 0, 0));
	CU_ASSERT_TRUE(lacks(shared[1], 0, 0));
}

/* Without a memfd the shared half is the guest_memfd where that can be mapped, else the VMM's. */
static void test_one_half(void)
{
	static const struct part asked[] = {{28, 4}, {0}};

	fill(memory);
	memory->flags = MEMORY_MMAP;
	CU_ASSERT_EQUAL(end(begin(CONVERT_TO_PRIVATE, true, asked), 1), 0);
	CU_ASSERT_EQUAL(end(begin(CONVERT_TO_SHARED, true, asked), 1), 0);
	CU_ASSERT_TRUE(lacks(memory, 0, 0));
	memory->flags = 0;
	CU_ASSERT_EQUAL(end(begin(CONVERT_TO_PRIVATE, true, asked), 1), 0);
	CU_ASSERT_TRUE(lacks(memory, 0, 0));
	CU_ASSERT_EQUAL(end(begin(CONVERT_TO_SHARED, true, asked), 1), 4 * P);
	CU_ASSERT_TRUE(lacks(memory, 28, 4));
}

/* Exactly the first ranges are converted, discarded and no longer charged twice. */
static void test_half_way(void)
{
	static const struct part asked[] = {{1, 1}, {3, 1}, {6, 4}, {12, 1}, {0}};
	uint64_t committed = test.vm->budget.committed;

	for (unsigned done = 0; done <= 4; done++) {
		static const struct part all[] = {{0, 16}, {0}}, none[] = {{0}};
		struct part expected[PART_MAX] = {{0}};
		uint64_t pages = 0;

		fill(shared[0]);
		for (unsigned i = 0; i < done; i++) {
			expected[i] = asked[i];
			pages += i < 2 ? 1 : i == 2 ? 2 : 0;
		}
		UNIT_ASSERT_ROW(end(begin(CONVERT_TO_PRIVATE, true, asked), done) == pages * P,
			"%u done", done);
		UNIT_ASSERT_ROW(private_is(expected), "%u done", done);
		if (done > 0)
			end(begin(CONVERT_TO_SHARED, true, all), 1);
		CU_ASSERT_TRUE(private_is(none));
		CU_ASSERT_EQUAL(test.vm->budget.committed, committed);
	}
}

/* What a conversion leaves in both halves is charged from its beginning, once. */
static void test_kept(void)
{
	static const struct part some[] = {{1, 1}, {6, 4}, {0}}, more[] = {{6, 6}, {28, 4}, {0}},
				 part[] = {{9, 2}, {0}};
	uint64_t committed = test.vm->budget.committed;
	struct conversion *conversion;

	fill(shared[0]);
	conversion = begin(CONVERT_TO_PRIVATE, false, some);
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed + 5 * P);
	CU_ASSERT_EQUAL(end(conversion, 1), 0); /* and {6, 4} failed */
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed + P);
	CU_ASSERT_EQUAL(end(begin(CONVERT_TO_PRIVATE, false, more), 2), 0);
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed + 7 * P);
	CU_ASSERT_TRUE(lacks(shared[0], 0, 0));
	end(begin(CONVERT_TO_SHARED, false, part), 1);
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed + 7 * P);
	end(begin(CONVERT_TO_PRIVATE, true, part), 1);
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed + 5 * P);
	end(begin(CONVERT_TO_SHARED, true, some), 2);
	end(begin(CONVERT_TO_SHARED, true, more), 2);
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed);
}

static void test_kept_refused(void)
{
	static const struct part asked[] = {{1, 1}, {6, 4}, {0}};
	uint64_t committed = test.vm->budget.committed, bytes = 0;
	const struct budget *refused = NULL;
	struct conversion *conversion;
	struct conversion_plan planned;
	size_t index;

	test.vm->budget.limit = committed + 4 * P;
	CU_ASSERT_EQUAL(plan(CONVERT_TO_PRIVATE, false, asked, &planned, &index), 0);
	CU_ASSERT_EQUAL(conversion_new(&planned, &conversion), 0);
	conversion_plan_clear(&planned);
	CU_ASSERT_EQUAL(conversion_begin(test.vm, conversion, &refused, &bytes), -ENOSPC);
	CU_ASSERT_PTR_EQUAL(refused, &test.vm->budget);
	CU_ASSERT_EQUAL(bytes, 5 * P);
	CU_ASSERT_EQUAL(test.vm->budget.committed, committed);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->in_both) + ranges_total(&test.vm->converting), 0);
	conversion_unref(conversion);
}

/* What is as wanted already has its stale half discarded, too. */
static void test_settled(void)
{
	static const struct part asked[] = {{5, 6}, {0}};
	struct conversion_plan planned;
	size_t index;

	end(begin(CONVERT_TO_PRIVATE, false, asked), 1);
	fill(shared[0]);
	fill(shared[1]);
	for (unsigned again = 0; again < 2; again++) {
		CU_ASSERT_EQUAL_FATAL(plan(CONVERT_TO_PRIVATE, true, asked, &planned, &index), 0);
		CU_ASSERT_EQUAL(planned.count, 0);
		CU_ASSERT_EQUAL(discard(CONVERT_TO_PRIVATE, planned.unchanged, planned.n_unchanged),
			again ? 0 : 6 * P);
		CU_ASSERT_EQUAL(
			conversion_leave_both(test.vm, planned.unchanged, planned.n_unchanged), 0);
		conversion_plan_clear(&planned);
	}
	CU_ASSERT_TRUE(lacks(shared[0], 5, 3));
	CU_ASSERT_TRUE(lacks(shared[1], 4, 3));
	CU_ASSERT_EQUAL(test.vm->commitment.in_both, 0);
}

/* Others wait for what is not reported, and go on beside it. */
static void test_overlapping(void)
{
	static const struct part first[] = {{5, 6}, {0}},
				 overlapping[][3] = {{{0, 16}}, {{10, 1}}, {{0, 1}, {5, 1}}},
				 beside[] = {{4, 1}, {11, 1}, {0}}, both[] = {{4, 8}, {0}};
	struct conversion *conversion = begin(CONVERT_TO_PRIVATE, true, first), *other;
	struct conversion_plan planned;
	size_t index;

	for (size_t i = 0; i < sizeof overlapping / sizeof *overlapping; i++) {
		for (unsigned to = 0; to < 2; to++)
			UNIT_ASSERT_ROW(
				plan(to, true, overlapping[i], &planned, &index) == CONVERSION_BUSY,
				"%zu", i);
	}
	other = begin(CONVERT_TO_PRIVATE, true, beside);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), 8 * P);
	CU_ASSERT_EQUAL(conversion_end(test.vm, other, 0, 2, 2), 0);
	conversion_unref(other);
	CU_ASSERT_EQUAL(ranges_total(&test.vm->converting), 6 * P);
	end(conversion, 1);
	CU_ASSERT_TRUE(private_is(both));
}

int main(void)
{
	CU_TestInfo planned[] = {
		{"what is left to do", test_plans},
		{"what may be either", test_uncertain},
		{"what was left private", test_left_private},
		{"each fault and which range has it", test_faults},
		{"as many pieces as there may be", test_pieces},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo ended[] = {
		{"stale halves are punched", test_punched},
		{"one half never is", test_one_half},
		{"a failure half-way", test_half_way},
		{"what is kept is charged", test_kept},
		{"what is kept and can't be charged", test_kept_refused},
		{"what was as wanted", test_settled},
		{"one beside the other", test_overlapping},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "conversions planned",
			.pSetUpFunc = set_up,
			.pTearDownFunc = tear_down,
			.pTests = planned},
		{.pName = "conversions ended",
			.pSetUpFunc = set_up,
			.pTearDownFunc = tear_down,
			.pTests = ended},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
