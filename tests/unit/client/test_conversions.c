/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libgmem knows of conversions under way: an entry that a gmemd has written which had not lost
 * the VM yet is neither issued nor reported once another was told of it.
 */
#include "client/lib/conversions.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/lib/unit.h"

static const struct kvm_memory_attributes entry = {
	.address = 0x1000, .size = 0x2000, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE};
static const struct gmem_range frames = {.guest_phys_addr = 0x1000, .size = 0x2000};
static struct conversions conversions;
static atomic_bool has_begun, is_released;

static void test_issued_as_told(void)
{
	struct conversion_issue issue;

	conversions_init(&conversions);
	CU_ASSERT_EQUAL(conversions_issue(&conversions, &entry, 0, &issue), 0);
	CU_ASSERT_TRUE(conversions_issued(&conversions, &issue, 0));
	CU_ASSERT_EQUAL(conversions_find(&conversions, GMEM_PRIVATE, &frames), CONVERSIONS_ARE_SO);
	CU_ASSERT_EQUAL(conversions_issue(&conversions, &entry, 0, &issue), 0);
	conversions_note_told(&conversions);
	CU_ASSERT_FALSE(conversions_issued(&conversions, &issue, 0));
	CU_ASSERT_EQUAL(conversions_issue(&conversions, &entry, 0, &issue), -ESTALE);
	CU_ASSERT_EQUAL(conversions_issue(&conversions, &entry, 1, &issue), 0);
	conversions_clear(&conversions);
}

static void *note_told(void *context)
{
	(void)context;
	has_begun = true;
	conversions_note_told(&conversions);
	return is_released ? &is_released : NULL;
}

static void test_held_as_told(void)
{
	pthread_t thread;
	void *after;

	conversions_init(&conversions);
	CU_ASSERT_FALSE(conversions_hold(&conversions, 1));
	CU_ASSERT_TRUE_FATAL(conversions_hold(&conversions, 0));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, note_told, NULL), 0);
	while (!has_begun)
		usleep(100);
	usleep(1000); /* in which it could go on */
	is_released = true;
	conversions_release(&conversions);
	CU_ASSERT_EQUAL_FATAL(pthread_join(thread, &after), 0);
	CU_ASSERT_PTR_NOT_NULL(after);
	CU_ASSERT_EQUAL(conversions_told(&conversions), 1);
	CU_ASSERT_FALSE(conversions_hold(&conversions, 0));
	CU_ASSERT_TRUE_FATAL(conversions_hold(&conversions, 1));
	conversions_release(&conversions);
	conversions_clear(&conversions);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"an entry is issued as long as no other gmemd was told", test_issued_as_told},
		{"no other gmemd is told while one is reported", test_held_as_told},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "conversions", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
