/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemctl probe says of hosts that are not this one.
 */
#include "client/ctl/probe/check.h"

#include <string.h>

#include "kernel/base/uapi.h"
#include "tests/lib/unit.h"

#define PROTECTED 1 /* a type of VM with private memory */

static const struct check *find_check(const char *name)
{
	const struct check *check = checks;

	while (check->name && strcmp(check->name, name) != 0)
		check++;
	CU_ASSERT_PTR_NOT_NULL_FATAL(check->name);
	return check;
}

static struct checked_host host_of(struct vm_type_offer offer)
{
	struct checked_host host = {.kvm_errno = 0};

	offer.offered = true;
	offer.guest_memfd = true;
	host.offer.kvm = true;
	strcpy(host.offer.kernel_release, "7.4.0");
	host.offer.vm_types[0] = (struct vm_type_offer){.offered = true, .guest_memfd = true};
	host.offer.vm_types[PROTECTED] = offer;
	return host;
}

/* Of private memory: whether it is there, and what is said of that. */
static bool check_private(const struct checked_host *host, const char *detail, const char *remedy)
{
	const struct check *check = find_check("private memory attributes");
	char said[512], advised[512];
	bool present = check->present(host, said, sizeof said);

	check_remedy(check, host, advised, sizeof advised);
	UNIT_ASSERT_ROW(strstr(said, detail) != NULL, "%s, expected %s", said, detail);
	UNIT_ASSERT_ROW(strstr(advised, remedy) != NULL, "%s, expected %s", advised, remedy);
	return present;
}

static void test_attributes(void)
{
	struct checked_host host =
		host_of((struct vm_type_offer){.memory_attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE});

	CU_ASSERT_TRUE(check_private(&host, "sw_protected", ""));
}

/* Such a host has private memory, and it is not KVM_CAP_MEMORY_ATTRIBUTES that it lacks. */
static void test_in_place(void)
{
	struct checked_host host = host_of((struct vm_type_offer){.converts_in_place = true});

	CU_ASSERT_FALSE(check_private(&host,
		"sw_protected, converted in place, by KVM_SET_MEMORY_ATTRIBUTES2",
		"This gmemd does not do that yet"));
}

static void test_none(void)
{
	struct checked_host host = host_of((struct vm_type_offer){.offered = true});

	CU_ASSERT_FALSE(check_private(&host, "no type of VM has it", "SEV-SNP or TDX"));
	strcpy(host.offer.kernel_release, "6.1.0-18-amd64");
	CU_ASSERT_FALSE(check_private(&host, "", "Boot Linux 6.8 or newer."));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"attributes of frames", test_attributes},
		{"conversion in place", test_in_place},
		{"neither", test_none},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "private memory", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
