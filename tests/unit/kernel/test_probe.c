/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Probing the host: what is told of it is what it does.
 */
#include "kernel/kvm/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/kvm/gate.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"

static void test_without_kvm(void)
{
	struct host_offer offer;
	struct utsname name;
	const char *reason = NULL;

	CU_ASSERT_EQUAL_FATAL(probe_host(-1, &offer), 0);
	CU_ASSERT_EQUAL(uname(&name), 0);
	CU_ASSERT_STRING_EQUAL(offer.kernel_release, name.release);
	CU_ASSERT_EQUAL(offer.page_size, (uint64_t)sysconf(_SC_PAGESIZE));
	CU_ASSERT_EQUAL(offer.memory_total / offer.page_size, (uint64_t)sysconf(_SC_PHYS_PAGES));
	CU_ASSERT_FALSE(offer.kvm);
	CU_ASSERT_EQUAL(offer.vm_type_mask, 0);
	for (unsigned type = 0; type < VM_TYPES_MAX; type++)
		CU_ASSERT_FALSE(offer.vm_types[type].offered);
	CU_ASSERT_EQUAL(offer.gate, gate_available(&reason));
	CU_ASSERT_EQUAL(offer.gate_missing, reason);
}

/* Another file is not taken for KVM. */
static void test_with_another_file(void)
{
	cleanup_fd int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct host_offer offer;

	CU_ASSERT_EQUAL(probe_host(fd, &offer), 0);
	CU_ASSERT_FALSE(offer.kvm);
	CU_ASSERT_EQUAL(offer.vm_type_mask, 0);
}

/* It is the file's own ioctl that says so, not the lack of a VM's attributes. */
static void check_in_place(int vm, unsigned type, const struct vm_type_offer *offer)
{
	struct kvm_memory_attributes2 attributes = {.size = (uint64_t)sysconf(_SC_PAGESIZE),
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE};
	cleanup_fd int fd = vm_guest_memfd(vm, attributes.size, 0);
	bool converts = ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &attributes) == 0;

	UNIT_ASSERT_ROW(offer->converts_in_place == (converts && offer->memory_attributes == 0),
		"type %u: %d", type, offer->converts_in_place);
}

/* What is offered of a type can be done with a VM of it. */
static void check_type(int kvm, unsigned type, const struct vm_type_offer *offer)
{
	cleanup_fd int vm = ioctl(kvm, KVM_CREATE_VM, (unsigned long)type);
	int fd;

	CU_ASSERT_TRUE_FATAL(vm >= 0);
	CU_ASSERT_TRUE(offer->offered);
	CU_ASSERT_TRUE(offer->memslots > 0);
	CU_ASSERT_TRUE(offer->address_spaces > 0);
	fd = vm_guest_memfd(vm, (uint64_t)sysconf(_SC_PAGESIZE), offer->guest_memfd_flags);
	UNIT_ASSERT_ROW((fd >= 0) == offer->guest_memfd, "type %u: %d", type, fd);
	fd_close(fd);
	check_in_place(vm, type, offer);
	for (unsigned bit = 0; bit < 8 && offer->guest_memfd; bit++) {
		fd = vm_guest_memfd(vm, (uint64_t)sysconf(_SC_PAGESIZE), 1ull << bit);
		UNIT_ASSERT_ROW(fd == -EINVAL || offer->guest_memfd_flags & 1ull << bit,
			"type %u takes flag %u, which is not offered", type, bit);
		fd_close(fd);
	}
}

static void test_with_kvm(void)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	size_t before = unit_open_fds();
	struct host_offer offer;

	if (kvm < 0) {
		unit_skip("/dev/kvm can't be opened");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(probe_host(kvm, &offer), 0);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
	CU_ASSERT_TRUE(offer.kvm);
	for (unsigned type = 0; type < VM_TYPES_MAX; type++) {
		if (offer.vm_type_mask & 1u << type)
			check_type(kvm, type, &offer.vm_types[type]);
		else
			CU_ASSERT_FALSE(offer.vm_types[type].offered);
	}
}

static void test_type_names(void)
{
	unsigned type;

	for (unsigned known = 0; vm_type_name(known); known++) {
		CU_ASSERT_EQUAL(vm_type_by_name(vm_type_name(known), &type), 0);
		CU_ASSERT_EQUAL(type, known);
		for (unsigned other = 0; other < known; other++)
			CU_ASSERT_STRING_NOT_EQUAL(vm_type_name(known), vm_type_name(other));
	}
	CU_ASSERT_STRING_EQUAL(vm_type_name(0), "default");
	CU_ASSERT_PTR_NULL(vm_type_name(VM_TYPES_MAX));
	CU_ASSERT_PTR_NULL(vm_type_name(UINT32_MAX));
#ifdef __x86_64__
	CU_ASSERT_STRING_EQUAL(vm_type_name(1), "sw_protected");
	CU_ASSERT_STRING_EQUAL(vm_type_name(5), "tdx");
#endif
}

static void test_type_numbers(void)
{
	const struct {
		const char *name;
		int result;
		unsigned type;
	} rows[] = {{"0", 0, 0}, {"1", 0, 1}, {"9", 0, 9}, {"31", 0, 31}, {"32", -ENOENT, 0},
		{"", -ENOENT, 0}, {"-1", -ENOENT, 0}, {"+1", -ENOENT, 0}, {" 1", -ENOENT, 0},
		{"1 ", -ENOENT, 0}, {"1x", -ENOENT, 0}, {"0x1", -ENOENT, 0},
		{"Default", -ENOENT, 0}, {"defaul", -ENOENT, 0}, {"4294967296", -ENOENT, 0},
		{"99999999999999999999999", -ENOENT, 0}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned type = 77;
		int r = vm_type_by_name(rows[i].name, &type);

		UNIT_ASSERT_ROW(r == rows[i].result && type == (r == 0 ? rows[i].type : 77),
			"\"%s\": %d, type %u", rows[i].name, r, type);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"without KVM", test_without_kvm},
		{"with another file", test_with_another_file},
		{"with KVM", test_with_kvm},
		{"names of VM types", test_type_names},
		{"numbers of VM types", test_type_numbers},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "probe", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
