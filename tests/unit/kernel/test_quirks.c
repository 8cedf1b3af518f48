/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of quirks, with the real KVM.
 */
#include "kernel/kvm/quirks.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/base/uapi.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"

/* As often as one likes. */
static void test_slot_zap_all(void)
{
	int vm, quirks, expected;

	if (!vm_or_skip(0, &vm))
		return;
	quirks = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
	expected = quirks & KVM_X86_QUIRK_SLOT_ZAP_ALL ? 0 : -EOPNOTSUPP;
	CU_ASSERT_EQUAL(quirk_slot_zap_all_off(vm), expected);
	CU_ASSERT_EQUAL(quirk_slot_zap_all_off(vm), expected);
	close(vm);
}

static void test_no_vm(void)
{
	int pipe_fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
	CU_ASSERT_EQUAL(quirk_slot_zap_all_off(pipe_fds[0]), -ENOTTY);
	CU_ASSERT_EQUAL(quirk_slot_zap_all_off(-1), -EBADF);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a deleted slot takes down its own mappings", test_slot_zap_all},
		{"what is no VM", test_no_vm},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "quirks", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
