/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model: what its interface adds to the kernel's contract. The contract itself is
 * tests/conformance.
 */
#include "kernel/model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"
#include "tests/lib/unit.h"

#define PAGE    4096ULL
#define ADDRESS (1ULL << 30)

static struct model_vm *vm_new(unsigned long type, const struct model_userspace *userspace)
{
	const struct model_userspace own = {0};
	struct model_rules rules;
	struct model_vm *vm = NULL;

	CU_ASSERT_EQUAL_FATAL(model_rules_of_type(type, &rules), 0);
	CU_ASSERT_EQUAL_FATAL(model_vm_new(&rules, userspace ? userspace : &own, &vm), 0);
	return vm;
}

static struct model_memory *memory_new(struct model_vm *vm, uint64_t size, uint64_t flags)
{
	const struct kvm_create_guest_memfd arguments = {.size = size, .flags = flags};
	struct model_memory *memory = NULL;

	CU_ASSERT_EQUAL_FATAL(model_memory_new(vm, &arguments, &memory), 0);
	return memory;
}

static int bind_at(struct model_vm *vm, uint32_t slot, uint64_t address, uint64_t size,
	struct model_memory *memory, uint64_t offset)
{
	const struct kvm_userspace_memory_region2 arguments = {
		.slot = slot,
		.flags = memory ? KVM_MEM_GUEST_MEMFD : 0,
		.guest_phys_addr = address,
		.memory_size = size,
		.userspace_addr = address,
		.guest_memfd_offset = offset,
	};

	return model_vm_set_region(vm, MODEL_REGION_V2, &arguments, memory);
}

static void test_types(void)
{
	struct model_rules rules = {.memslots = 77};

	CU_ASSERT_EQUAL(model_rules_of_type(2, &rules), -EINVAL);
	CU_ASSERT_EQUAL(rules.memslots, 77);
	CU_ASSERT_EQUAL(model_rules_of_type(0, &rules), 0);
	CU_ASSERT_EQUAL(rules.memory_attributes, 0);
	CU_ASSERT_EQUAL(rules.guest_memfd_flags, 3);
	CU_ASSERT_EQUAL(model_rules_of_type(1, &rules), 0);
	CU_ASSERT_EQUAL(rules.memory_attributes, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	CU_ASSERT_EQUAL(rules.guest_memfd_flags, GUEST_MEMFD_FLAG_MMAP);
}

/* What a daemon hands out: the holder's bytes are the guest's. */
static void test_file(void)
{
	struct model_vm *vm = vm_new(0, NULL);
	struct model_memory *memory = memory_new(vm, 4 * PAGE, 3);
	uint64_t size = 0, resident = 1;
	char bytes[6] = "";
	char *mapping;

	CU_ASSERT_EQUAL(model_memory_size(memory), 4 * PAGE);
	CU_ASSERT_EQUAL(model_memory_flags(memory), 3);
	CU_ASSERT_EQUAL(memory_file_size(model_memory_fd(memory), &size), 0);
	CU_ASSERT_EQUAL(size, 4 * PAGE);
	CU_ASSERT_EQUAL(ftruncate(model_memory_fd(memory), 0), -1);
	CU_ASSERT_EQUAL(model_memory_resident(memory, &resident), 0);
	CU_ASSERT_EQUAL(resident, 0);
	CU_ASSERT_EQUAL(bind_at(vm, 1, ADDRESS, 4 * PAGE, memory, 0), 0);
	mapping = mmap(
		NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, model_memory_fd(memory), 0);
	CU_ASSERT_TRUE_FATAL(mapping != MAP_FAILED);
	strcpy(mapping + PAGE, "hello");
	CU_ASSERT_EQUAL(
		model_vm_access(vm, 0, ADDRESS + PAGE, bytes, 6, false, NULL), MODEL_ACCESS_DONE);
	CU_ASSERT_STRING_EQUAL(bytes, "hello");
	CU_ASSERT_EQUAL(model_memory_resident(memory, &resident), 0);
	CU_ASSERT_EQUAL(resident, PAGE);
	munmap(mapping, 4 * PAGE);
	model_memory_unref(memory);
	model_vm_free(vm);
}

static void test_holders(void)
{
	size_t fds = unit_open_fds();
	struct model_vm *vm = vm_new(0, NULL);
	struct model_memory *memory = memory_new(vm, 4 * PAGE, 3);
	char byte = 1;

	CU_ASSERT_EQUAL(bind_at(vm, 1, ADDRESS, 4 * PAGE, memory, 0), 0);
	model_memory_ref(memory);
	CU_ASSERT_PTR_NULL(model_memory_unref(memory));
	CU_ASSERT_EQUAL(model_vm_access(vm, 0, ADDRESS, &byte, 1, true, NULL), MODEL_ACCESS_DONE);
	model_memory_unref(memory);
	CU_ASSERT_EQUAL(
		model_vm_access(vm, 0, ADDRESS, &byte, 1, true, NULL), MODEL_ACCESS_MEMORY_FAULT);
	CU_ASSERT_PTR_NULL(model_memory_unref(NULL));
	CU_ASSERT_PTR_NULL(model_vm_free(vm));
	CU_ASSERT_PTR_NULL(model_vm_free(NULL));
	CU_ASSERT_EQUAL(unit_open_fds(), fds);
}

static void test_a_memory_outlives_its_vm(void)
{
	struct model_vm *vm = vm_new(0, NULL), *other = vm_new(0, NULL);
	struct model_memory *memory = memory_new(vm, 4 * PAGE, 3);

	CU_ASSERT_EQUAL(bind_at(vm, 1, ADDRESS, 4 * PAGE, memory, 0), 0);
	model_vm_free(vm);
	CU_ASSERT_EQUAL(model_memory_fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	CU_ASSERT_EQUAL(bind_at(other, 1, ADDRESS, PAGE, memory, 0), -EINVAL);
	model_memory_unref(memory);
	model_vm_free(other);
}

/* An access over several pages ends where one can't go on. */
static void test_long_accesses(void)
{
	struct model_vm *vm = vm_new(1, NULL);
	struct model_memory *memory = memory_new(vm, 4 * PAGE, 1);
	const struct kvm_memory_attributes private = {.address = ADDRESS + 4 * PAGE,
		.size = PAGE,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE};
	char *bytes = calloc(6, PAGE);
	size_t done = 1;

	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	CU_ASSERT_EQUAL(bind_at(vm, 1, ADDRESS, 2 * PAGE, memory, 2 * PAGE), 0);
	CU_ASSERT_EQUAL(bind_at(vm, 2, ADDRESS + 2 * PAGE, 2 * PAGE, memory, 0), 0);
	memset(bytes, 0x5a, 6 * PAGE);
	CU_ASSERT_EQUAL(model_vm_access(vm, 0, ADDRESS + 100, bytes, 4 * PAGE - 100, true, &done),
		MODEL_ACCESS_DONE);
	CU_ASSERT_EQUAL(done, 4 * PAGE - 100);
	CU_ASSERT_EQUAL(
		model_vm_access(vm, 0, ADDRESS, bytes, 6 * PAGE, false, &done), MODEL_ACCESS_MMIO);
	CU_ASSERT_EQUAL(done, 4 * PAGE);
	CU_ASSERT_TRUE(bytes[99] == 0 && bytes[100] == 0x5a && bytes[4 * PAGE - 1] == 0x5a);
	CU_ASSERT_EQUAL(model_vm_set_attributes(vm, &private), 0);
	/* It is remembered as MMIO until slots change. */
	CU_ASSERT_EQUAL(
		model_vm_access(vm, 0, ADDRESS, bytes, 6 * PAGE, false, &done), MODEL_ACCESS_MMIO);
	CU_ASSERT_EQUAL(bind_at(vm, 2, 0, 0, memory, 0), 0);
	CU_ASSERT_EQUAL(bind_at(vm, 2, ADDRESS + 2 * PAGE, 2 * PAGE, memory, 0), 0);
	CU_ASSERT_EQUAL(model_vm_access(vm, 0, ADDRESS, bytes, 6 * PAGE, false, &done),
		MODEL_ACCESS_MEMORY_FAULT);
	CU_ASSERT_EQUAL(done, 4 * PAGE);
	CU_ASSERT_EQUAL(ranges_total(model_vm_private_ranges(vm)), PAGE);
	free(bytes);
	model_memory_unref(memory);
	model_vm_free(vm);
}

static void test_address_spaces(void)
{
	struct model_vm *vm = vm_new(0, NULL);
	struct model_memory *memory = memory_new(vm, 4 * PAGE, 3);
	char byte = 0x11;

	CU_ASSERT_EQUAL(model_vm_rules(vm)->address_spaces, 2);
	CU_ASSERT_EQUAL(bind_at(vm, 1, ADDRESS, PAGE, memory, 0), 0);
	CU_ASSERT_EQUAL(bind_at(vm, 0x10001, ADDRESS, PAGE, memory, PAGE), 0);
	CU_ASSERT_EQUAL(model_vm_access(vm, 1, ADDRESS, &byte, 1, true, NULL), MODEL_ACCESS_DONE);
	CU_ASSERT_EQUAL(model_vm_access(vm, 0, ADDRESS, &byte, 1, false, NULL), MODEL_ACCESS_DONE);
	CU_ASSERT_EQUAL(byte, 0);
	CU_ASSERT_EQUAL(bind_at(vm, 0x10002, ADDRESS, PAGE, memory, 2 * PAGE), -EEXIST);
	CU_ASSERT_EQUAL(bind_at(vm, 0x20001, ADDRESS, PAGE, memory, 2 * PAGE), -EINVAL);
	model_memory_unref(memory);
	model_vm_free(vm);
}

/* Userspace that is not this process's. */
static int elsewhere(void *context, uint64_t address, void *bytes, size_t size, bool write)
{
	char *page = context;

	if (address < ADDRESS || address + size > ADDRESS + PAGE)
		return -EFAULT;
	memcpy(write ? page + address - ADDRESS : bytes, write ? bytes : page + address - ADDRESS,
		size);
	return 0;
}

static void test_userspace(void)
{
	char page[PAGE] = "abc", bytes[4] = "";
	const struct model_userspace userspace = {.access = elsewhere, .context = page};
	struct model_vm *vm = vm_new(0, &userspace);

	CU_ASSERT_EQUAL(bind_at(vm, 1, ADDRESS, 2 * PAGE, NULL, 0), 0);
	CU_ASSERT_EQUAL(model_vm_access(vm, 0, ADDRESS, bytes, 4, false, NULL), MODEL_ACCESS_DONE);
	CU_ASSERT_STRING_EQUAL(bytes, "abc");
	CU_ASSERT_EQUAL(model_vm_access(vm, 0, ADDRESS + 1, "x", 1, true, NULL), MODEL_ACCESS_DONE);
	CU_ASSERT_STRING_EQUAL(page, "axc");
	CU_ASSERT_EQUAL(
		model_vm_access(vm, 0, ADDRESS + PAGE, bytes, 1, false, NULL), MODEL_ACCESS_FAULT);
	model_vm_free(vm);
}

/* Linux 7.2 changed it. */
static void test_the_errno_of_overlapping_offsets(void)
{
	const struct model_userspace own = {0};
	struct model_rules rules;
	struct model_vm *vm = NULL;
	struct model_memory *memory;

	CU_ASSERT_EQUAL(model_rules_of_type(0, &rules), 0);
	rules.overlapping_offsets = EEXIST;
	CU_ASSERT_EQUAL_FATAL(model_vm_new(&rules, &own, &vm), 0);
	memory = memory_new(vm, 4 * PAGE, 3);
	CU_ASSERT_EQUAL(bind_at(vm, 1, ADDRESS, PAGE, memory, 0), 0);
	CU_ASSERT_EQUAL(bind_at(vm, 2, 2 * ADDRESS, PAGE, memory, 0), -EEXIST);
	model_memory_unref(memory);
	model_vm_free(vm);
}

static CU_TestInfo tests[] = {
	{"types", test_types},
	{"the file behind a memory", test_file},
	{"holders", test_holders},
	{"a memory outlives its VM", test_a_memory_outlives_its_vm},
	{"accesses over several pages", test_long_accesses},
	{"address spaces", test_address_spaces},
	{"userspace elsewhere", test_userspace},
	{"the errno of overlapping offsets", test_the_errno_of_overlapping_offsets},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{.pName = "model", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
