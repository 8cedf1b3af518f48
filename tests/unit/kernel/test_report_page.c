/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report page: where each entry's word is, what is a report, and that nobody can take the file
 * away from who reads it.
 */
#include "kernel/kvm/report_page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "tests/lib/unit.h"

#define CALL (UINT64_C(0x7fffffff) << 32 | 5) /* as high as ids can be */

static struct mailbox *mailbox;
static struct report_page *page;

static void set_up(void)
{
	CU_ASSERT_EQUAL_FATAL(mailbox_new("test", MAILBOX_WRITER_ALONE, &mailbox), 0);
	CU_ASSERT_EQUAL_FATAL(report_page_new(&page), 0);
}

static void tear_down(void)
{
	page = report_page_free(page);
	mailbox = mailbox_free(mailbox);
}

static struct report_place place_of(enum mailbox_command command, unsigned entry, unsigned count)
{
	return report_place_of(mailbox, command, entry, count);
}

static void write_word(uint64_t offset, uint64_t word)
{
	CU_ASSERT_EQUAL_FATAL(
		pwrite(report_page_fd(page), &word, sizeof word, (off_t)offset), sizeof word);
}

/* Places */

static void test_each_entry_has_its_own_word(void)
{
	uint64_t end = 0;

	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		for (unsigned entry = 0; entry < mailbox_entries(mailbox, command); entry++) {
			struct report_place place = place_of(command, entry, 1);

			UNIT_ASSERT_ROW(place.offset >= end && report_place_is_right(&place),
				"command %u, entry %u", command, entry);
			end = place.offset + sizeof(uint64_t);
		}
	}
	CU_ASSERT_TRUE(end <= report_page_length());
}

static void test_slots_are_in_the_first_page(void)
{
	unsigned slots = mailbox_entries(mailbox, MAILBOX_SLOT);
	struct report_place last = place_of(MAILBOX_SLOT, slots - 1, 1);

	CU_ASSERT_TRUE(last.offset + sizeof(uint64_t) <= (uint64_t)sysconf(_SC_PAGESIZE));
}

static void test_a_place_told_is_the_same(void)
{
	const struct mailbox_area area = mailbox_area(MAILBOX_ATTRIBUTES);
	struct report_place place = place_of(MAILBOX_ATTRIBUTES, 7, 3);
	struct report_place told = report_place_told(place.offset, area.stride, 3);

	CU_ASSERT_EQUAL(told.stride, place.stride);
	CU_ASSERT_EQUAL(told.count, place.count);
	CU_ASSERT_EQUAL(place.offset + place.stride, place_of(MAILBOX_ATTRIBUTES, 8, 1).offset);
}

static void test_wrong_places(void)
{
	const uint64_t length = report_page_length();
	const struct {
		struct report_place place;
		bool right;
	} rows[] = {
		{{0, 8, 1}, true},
		{{length - 8, 8, 1}, true},
		{{length - 16, 8, 2}, true},
		{{0, 8, (unsigned)(length / 8)}, true},
		{{0, 8, 0}, false},
		{{4, 8, 1}, false},
		{{0, 4, 2}, false},
		{{length, 8, 1}, false},
		{{length - 8, 8, 2}, false},
		{{UINT64_MAX - 7, 8, 1}, false},
		{{0, UINT64_MAX - 7, 2}, false},
		{{0, 8, (unsigned)(length / 8) + 1}, false},
		{{8, UINT64_C(1) << 40, UINT32_MAX}, false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		UNIT_ASSERT_ROW(
			report_place_is_right(&rows[i].place) == rows[i].right, "row %zu", i);
}

/* Reports */

static void test_nothing_is_reported_at_first(void)
{
	const struct report_place place = place_of(MAILBOX_SLOT, 0, 3);
	unsigned done = 9;

	CU_ASSERT_FALSE(report_page_read(page, &place, CALL, &done));
	CU_ASSERT_EQUAL(done, 9);
}

static void test_success_and_failure(void)
{
	static const struct {
		unsigned done;
		bool failed, reported;
	} rows[] = {{3, false, true}, {0, true, true}, {2, true, true}, {2, false, false}};
	uint64_t call = CALL;
	unsigned done;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++, call--) {
		const struct report_place place = place_of(MAILBOX_ATTRIBUTES, 4, 3);

		done = 9;
		report_page_write(page, &place, call, rows[i].done, rows[i].failed);
		UNIT_ASSERT_ROW(report_page_read(page, &place, call, &done) == rows[i].reported,
			"row %zu", i);
		UNIT_ASSERT_ROW(done == (rows[i].reported ? rows[i].done : 9), "row %zu", i);
		UNIT_ASSERT_ROW(!report_page_read(page, &place, call - 1, &done), "row %zu", i);
	}
}

static void test_what_is_no_report(void)
{
	static const uint64_t words[] = {0, UINT64_MAX, REPORT_FAILED, CALL - 1, CALL + 1,
		(CALL - 1) | REPORT_FAILED, CALL << 1, CALL >> 1, ~CALL};
	const struct report_place place = place_of(MAILBOX_SLOT, 2, 1);
	unsigned done;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		write_word(place.offset, words[i]);
		UNIT_ASSERT_ROW(!report_page_read(page, &place, CALL, &done), "row %zu", i);
	}
	write_word(place.offset + sizeof(uint64_t), CALL);
	CU_ASSERT_FALSE(report_page_read(page, &place, CALL, &done));
	write_word(place.offset, CALL);
	CU_ASSERT_TRUE(report_page_read(page, &place, CALL, &done));
}

static void test_what_comes_after_a_gap_is_not_looked_at(void)
{
	const struct report_place place = place_of(MAILBOX_ATTRIBUTES, 40, 3);
	unsigned done;

	write_word(place.offset, CALL);
	write_word(place.offset + 2 * place.stride, CALL | REPORT_FAILED);
	CU_ASSERT_FALSE(report_page_read(page, &place, CALL, &done));
	write_word(place.offset + place.stride, CALL);
	CU_ASSERT_TRUE(report_page_read(page, &place, CALL, &done));
	CU_ASSERT_EQUAL(done, 2);
}

/* Files */

static void test_the_file_stays_as_it_is(void)
{
	const int fd = report_page_fd(page);
	struct stat status;

	CU_ASSERT_EQUAL(ftruncate(fd, 0), -1);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)report_page_length() + 4096), -1);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	CU_ASSERT_EQUAL(fallocate(fd, 0, (off_t)report_page_length(), 4096), -1);
	CU_ASSERT_EQUAL_FATAL(fstat(fd, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
}

/* Its pages can go, and are zeroes then. */
static void test_a_page_that_is_punched(void)
{
	const struct report_place place = place_of(MAILBOX_SLOT, 5, 1);
	unsigned done;

	report_page_write(page, &place, CALL, 1, /* failed= */ false);
	CU_ASSERT_EQUAL(fallocate(report_page_fd(page), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				0, (off_t)report_page_length()),
		0);
	CU_ASSERT_FALSE(report_page_read(page, &place, CALL, &done));
}

static void test_a_successor_reads_what_was_written(void)
{
	const struct report_place place = place_of(MAILBOX_SLOT, 6, 1);
	int fd = fcntl(report_page_fd(page), F_DUPFD_CLOEXEC, 3);
	struct report_page *opened;
	unsigned done;

	report_page_write(page, &place, CALL, 1, /* failed= */ false);
	CU_ASSERT_EQUAL_FATAL(report_page_open(fd, &opened), 0);
	CU_ASSERT_EQUAL(report_page_fd(opened), fd);
	CU_ASSERT_TRUE(report_page_read(opened, &place, CALL, &done));
	report_page_free(opened);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), -1);
}

static void test_a_vmm_writes_one_after_the_other(void)
{
	const struct report_place place = place_of(MAILBOX_SLOT, 7, 1);
	struct report_page *other, *mapped;
	unsigned done;

	CU_ASSERT_EQUAL_FATAL(report_page_new(&other), 0);
	CU_ASSERT_EQUAL_FATAL(report_page_map(report_page_fd(page), &mapped), 0);
	CU_ASSERT_EQUAL(report_page_fd(mapped), -1);
	report_page_write(mapped, &place, CALL, 1, /* failed= */ false);
	CU_ASSERT_TRUE(report_page_read(page, &place, CALL, &done));
	CU_ASSERT_EQUAL_FATAL(report_page_map_again(mapped, report_page_fd(other)), 0);
	report_page_write(mapped, &place, CALL + 1, 1, /* failed= */ false);
	CU_ASSERT_FALSE(report_page_read(page, &place, CALL + 1, &done));
	CU_ASSERT_TRUE(report_page_read(other, &place, CALL + 1, &done));
	report_page_free(mapped);
	report_page_free(other);
}

static int sealed_memfd(const char *name, uint64_t size)
{
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd(name, size, &fd), 0);
	return fd;
}

static void test_other_files(void)
{
	const uint64_t length = report_page_length();
	cleanup_fd int other_mode = sealed_memfd(REPORT_PAGE_NAME, length);
	cleanup_fd int shorter = sealed_memfd(REPORT_PAGE_NAME, length - 4096);
	cleanup_fd int unsealed = memfd_create(REPORT_PAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct report_page *opened = NULL;

	CU_ASSERT_EQUAL_FATAL(ftruncate(unsealed, (off_t)length), 0);
	CU_ASSERT_TRUE(fchmod(shorter, 0600) == 0 && fchmod(unsealed, 0600) == 0);
	CU_ASSERT_EQUAL(report_page_open(other_mode, &opened), -EBADMSG);
	CU_ASSERT_EQUAL(report_page_open(shorter, &opened), -EBADMSG);
	CU_ASSERT_EQUAL(report_page_open(unsealed, &opened), -EBADMSG);
	CU_ASSERT_EQUAL(report_page_open(-1, &opened), -EBADMSG);
	CU_ASSERT_EQUAL(report_page_map(shorter, &opened), -EBADMSG);
	CU_ASSERT_EQUAL(report_page_map(-1, &opened), -EBADMSG);
	CU_ASSERT_EQUAL(report_page_map_again(page, shorter), -EBADMSG);
	CU_ASSERT_PTR_NULL(opened);
	CU_ASSERT_PTR_NULL(report_page_free(NULL));
}

int main(void)
{
	static CU_TestInfo places[] = {
		{"each entry has its own word", test_each_entry_has_its_own_word},
		{"slots are in the first page", test_slots_are_in_the_first_page},
		{"a place that is told is the same", test_a_place_told_is_the_same},
		{"places that no page has", test_wrong_places},
		CU_TEST_INFO_NULL,
	};
	static CU_TestInfo reports[] = {
		{"nothing is reported at first", test_nothing_is_reported_at_first},
		{"success and failure", test_success_and_failure},
		{"what is no report", test_what_is_no_report},
		{"what comes after a gap is not looked at",
			test_what_comes_after_a_gap_is_not_looked_at},
		CU_TEST_INFO_NULL,
	};
	static CU_TestInfo files[] = {
		{"the file stays as it is", test_the_file_stays_as_it_is},
		{"a page that is punched", test_a_page_that_is_punched},
		{"a successor reads what was written", test_a_successor_reads_what_was_written},
		{"a VMM writes one after the other", test_a_vmm_writes_one_after_the_other},
		{"other files", test_other_files},
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{"places", NULL, NULL, set_up, tear_down, places},
		{"reports", NULL, NULL, set_up, tear_down, reports},
		{"files", NULL, NULL, set_up, tear_down, files},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
