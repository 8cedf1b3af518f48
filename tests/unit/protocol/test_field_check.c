/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a field can hold: the same as what a packet can say.
 */
#include "protocol/field_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "protocol/methods.h"
#include "tests/lib/unit.h"

static const struct field *slot_fields(void)
{
	return methods[METHOD_SLOT_BIND].parameters;
}

static const struct field *open_fields(void)
{
	return methods[METHOD_VM_OPEN].parameters;
}

static struct slot_bind_parameters good_slot(void)
{
	return (struct slot_bind_parameters){
		.vm = "vm-1",
		.slot = 3,
		.guest_phys_addr = 0x100000,
		.memory_size = 0x10000,
		.userspace_addr = 0x7f0000000000,
		.memory = 5,
		.guest_memfd = 9,
		.shared_memory = FIELD_UNSET,
	};
}

static struct vm_open_parameters good_vm(void)
{
	return (struct vm_open_parameters){
		.name = "one", .type = "default", .commit_limit = FIELD_UNSET};
}

static const char *slot_fault(const struct slot_bind_parameters *parameters)
{
	const struct field *fault = fields_fault(slot_fields(), parameters);

	return fault ? fault->name : "";
}

#define SPOILT_SLOT(member, value)                                                                 \
	do {                                                                                       \
		struct slot_bind_parameters spoilt = good_slot();                                  \
		spoilt.member = (value);                                                           \
		CU_ASSERT_STRING_EQUAL(slot_fault(&spoilt), #member);                              \
	} while (0)

static void test_numbers(void)
{
	struct slot_bind_parameters good = good_slot();

	CU_ASSERT_PTR_NULL(fields_fault(slot_fields(), &good));
	SPOILT_SLOT(slot, 1ull << 32);
	SPOILT_SLOT(slot, FIELD_UNSET);
	SPOILT_SLOT(guest_phys_addr, 0x100001);
	SPOILT_SLOT(guest_phys_addr, UINT64_MAX - 0xfff);
	SPOILT_SLOT(memory_size, 0);
	SPOILT_SLOT(memory_size, 0x800);
	SPOILT_SLOT(memory_size, 1ull << 60);
	SPOILT_SLOT(userspace_addr, 1ull << 63);
	SPOILT_SLOT(memory, 1ull << 63);
	SPOILT_SLOT(guest_memfd_offset, 8);
	SPOILT_SLOT(guest_memfd, 1ull << 31);
	SPOILT_SLOT(shared_memory, FIELD_UNSET - 1);
	SPOILT_SLOT(shared_offset, UINT64_MAX);
	SPOILT_SLOT(flags, 4);
	SPOILT_SLOT(flags, UINT64_MAX);
	SPOILT_SLOT(vm, NULL);
}

static void test_absent(void)
{
	struct slot_bind_parameters slot = good_slot();
	struct vm_open_parameters vm = good_vm();

	slot.memory = FIELD_UNSET; /* null */
	slot.guest_memfd = FIELD_UNSET;
	CU_ASSERT_PTR_NULL(fields_fault(slot_fields(), &slot));
	CU_ASSERT_PTR_NULL(fields_fault(open_fields(), &vm));
}

static bool name_fits(const char *name)
{
	struct vm_open_parameters vm = good_vm();
	const struct field *fault;

	vm.name = name;
	fault = fields_fault(open_fields(), &vm);
	if (fault)
		CU_ASSERT_STRING_EQUAL(fault->name, "name");
	return !fault;
}

static void test_strings(void)
{
	char longest[NAME_BYTES_MAX + 2] = "";

	memset(longest, 'x', NAME_BYTES_MAX);
	CU_ASSERT_TRUE(name_fits(longest));
	longest[NAME_BYTES_MAX] = 'x';
	CU_ASSERT_FALSE(name_fits(longest));
	CU_ASSERT_FALSE(name_fits(""));
	CU_ASSERT_TRUE(name_fits("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	CU_ASSERT_FALSE(name_fits("tab\t"));
	CU_ASSERT_FALSE(name_fits("\x7f"));
	CU_ASSERT_FALSE(name_fits("\xc2\x80"));     /* C1 */
	CU_ASSERT_FALSE(name_fits("\xff"));         /* no UTF-8 */
	CU_ASSERT_FALSE(name_fits("ends\xe2\x82")); /* amid a character */
	CU_ASSERT_FALSE(name_fits("\xc0\xaf"));     /* not the shortest form */
	CU_ASSERT_FALSE(name_fits("\xed\xa0\x80")); /* a surrogate */
	CU_ASSERT_FALSE(name_fits("\xf4\x90\x80\x80"));
}

static void test_uuids_and_enums(void)
{
	struct vm_open_parameters vm = good_vm();

	vm.uuid = "01234567-89ab-cdef-CDEF-0123456789ab";
	CU_ASSERT_PTR_NULL(fields_fault(open_fields(), &vm));
	vm.uuid = "01234567-89ab-cdef-CDEF-0123456789a";
	CU_ASSERT_STRING_EQUAL(fields_fault(open_fields(), &vm)->name, "uuid");
	vm = good_vm();
	vm.gate = 2;
	CU_ASSERT_STRING_EQUAL(fields_fault(open_fields(), &vm)->name, "gate");
	vm = good_vm();
	vm.charge = FIELD_UNSET;
	CU_ASSERT_STRING_EQUAL(fields_fault(open_fields(), &vm)->name, "charge");
}

/* Near what is special. */
static uint64_t random_number(void)
{
	static const uint64_t special[] = {0, 1, 4096, 0x100000, 1ull << 31, 1ull << 32, 1ull << 43,
		0x7ffffffff000, (uint64_t)INT64_MAX & ~0xffffull, INT64_MAX, 1ull << 63};
	uint64_t number = special[(size_t)random() % (sizeof special / sizeof *special)];

	return random() % 2 ? number : number + (uint64_t)(random() % 5) * 4096 - 8192;
}

static bool decodes(const struct slot_bind_parameters *slot)
{
	char text[512];
	struct slot_bind_parameters decoded;
	struct rpc_error error = {.code = RPC_OK};
	struct json_object *params;
	const char *why;
	int r;

	snprintf(text, sizeof text,
		"{\"vm\":\"vm-1\",\"slot\":%" PRIu64 ",\"guest_phys_addr\":%" PRIu64
		",\"memory_size\":%" PRIu64 ",\"userspace_addr\":%" PRIu64 ",\"memory\":%" PRIu64
		",\"guest_memfd_offset\":%" PRIu64 ",\"guest_memfd\":9}",
		slot->slot, slot->guest_phys_addr, slot->memory_size, slot->userspace_addr,
		slot->memory, slot->guest_memfd_offset);
	params = json_parse(text, strlen(text), &why);
	r = fields_decode(slot_fields(), params, &decoded, &error);
	rpc_error_clear(&error);
	json_unref(params);
	return params && r == 0;
}

static void test_as_a_packet_says(void)
{
	unsigned fitting = 0;

	srandom(1);
	for (unsigned i = 0; i < 20000; i++) {
		struct slot_bind_parameters slot = good_slot();
		uint64_t *const members[] = {&slot.slot, &slot.guest_phys_addr, &slot.memory_size,
			&slot.userspace_addr, &slot.memory, &slot.guest_memfd_offset};
		bool fits;

		*members[random() % 6] = random_number();
		*members[random() % 6] = random_number();
		fits = !fields_fault(slot_fields(), &slot);
		fitting += fits;
		UNIT_ASSERT_ROW(fits == decodes(&slot), "%u", i);
	}
	CU_ASSERT_TRUE(fitting > 1000 && fitting < 19000);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"numbers", test_numbers},
		{"absent", test_absent},
		{"strings", test_strings},
		{"UUIDs and enums", test_uuids_and_enums},
		{"as a packet says", test_as_a_packet_says},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "fields checked", .pTests = tests},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
