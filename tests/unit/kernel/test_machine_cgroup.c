/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cgroups are those of a libvirt machine, and which only look so.
 */
#include "kernel/host/machine_cgroup.h"

#include <string.h>
#include <unistd.h>

#include "tests/lib/unit.h"

struct row {
	const char *cgroups;
	bool is;
};

static const struct row rows[] = {
	/* systemd-machined's, what libvirt makes below, and a slice of one's own */
	{"0::/machine.slice/machine-qemu\\x2d7\\x2dplain.scope\n", true},
	{"0::/machine.slice/machine-qemu\\x2d7\\x2dplain.scope/libvirt/emulator\n", true},
	{"0::/blue.slice/blue-one.slice/machine-qemu\\x2d7\\x2da.b.scope\n", true},
	{"0::/machine.slice/machine-qemu\\x2d7\\x2d.scope\n", true},
	/* libvirt's own, and partitions */
	{"0::/machine/qemu-7-plain.libvirt-qemu/emulator\n", true},
	{"0::/blue.partition/one.partition/qemu-7-plain.libvirt-qemu\n", true},
	/* v1, with hierarchies that libvirt has left alone */
	{"3:memory:/machine.slice/machine-qemu\\x2d7\\x2dplain.scope\n2:rdma:/\n0::/\n", true},
	{"0::/\n3:cpu,memory:/machine/qemu-7-plain.libvirt-qemu\n2:rdma:/elsewhere\n", true},
	/* other domains */
	{"0::/machine.slice/machine-qemu\\x2d8\\x2dplain.scope\n", false},
	{"0::/machine.slice/machine-qemu\\x2d77\\x2dplain.scope\n", false},
	{"0::/machine/qemu-77-plain.libvirt-qemu\n", false},
	{"0::/machine.slice/machine-lxc\\x2d7\\x2dplain.scope\n", false},
	/* what a user can make */
	{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/"
	 "machine-qemu\\x2d7\\x2dplain.scope\n",
		false},
	{"0::/system.slice/evil.service/machine/qemu-7-plain.libvirt-qemu\n", false},
	{"0::/system.slice/evil.service/machine.slice/machine-qemu\\x2d7\\x2dplain.scope\n", false},
	{"0::/machine/other/qemu-7-plain.libvirt-qemu\n", false},
	{"0::/machine-qemu\\x2d7\\x2dplain.service\n", false},
	{"0::/machine.slice/machine-qemu-7-plain.scope\n", false},
	/* in another hierarchy than the memory's */
	{"3:memory:/elsewhere\n2:cpu:/machine/qemu-7-plain.libvirt-qemu\n", false},
	{"3:memory:/elsewhere\n0::/machine/qemu-7-plain.libvirt-qemu\n", false},
	{"0::/machine/qemu-7-plain.libvirt-qemu\n3:memory:/\n", false},
	{"2:memory2,cpu:/machine/qemu-7-plain.libvirt-qemu\n", false},
	/* outside of our cgroup namespace, none, and no such text */
	{"0::/../machine/qemu-7-plain.libvirt-qemu\n", false},
	{"0::/\n", false},
	{"", false},
	{"0:\n", false},
	{"nonsense", false},
	{"0::machine/qemu-7-plain.libvirt-qemu\n", false},
};

static void test_shapes(void)
{
	char prefix[MACHINE_PREFIX_SIZE];

	machine_prefix(7, prefix);
	CU_ASSERT_STRING_EQUAL(prefix, "qemu-7-");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		UNIT_ASSERT_ROW(machine_cgroup_is(rows[i].cgroups, prefix) == rows[i].is, "%s",
			rows[i].cgroups);
}

static void test_processes(void)
{
	CU_ASSERT_FALSE(machine_has_process(getpid(), "qemu-7-"));
	CU_ASSERT_FALSE(machine_has_process(0, "qemu-7-"));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a machine's cgroup has one of two shapes", test_shapes},
		{"a process that is in none, and one that isn't there", test_processes},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "cgroups of machines", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
