/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservations: their promises, who may use them, and their records.
 */
#include <errno.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon/base/numa_node.h"
#include "daemon/reservation/reservation.h"
#include "daemon/reservation/reservation_record.h"
#include "daemon/vm/memory.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_new.h"
#include "tests/lib/unit.h"
#include "tests/unit/vm/held.h"

#define NODE       3
#define NODE_PAGES 40

static struct held held;
static struct reservations reservations;

static void set_up(void)
{
	const struct capacity_request request = {.total = HELD_HOST};
	const struct capacity_node node = {.number = NODE, .total = NODE_PAGES * HELD_PAGE};

	held_init(&held);
	capacity_clear(&held.capacity);
	CU_ASSERT_EQUAL_FATAL(capacity_init(&held.capacity, &request, &node, 1), 0);
	reservations_init(&reservations, &held.capacity, &held.registry.tenants);
	held.registry.reservations = &reservations;
}

static void tear_down(void)
{
	struct budget *node = capacity_of_node(&held.capacity, NODE);

	vms_free(&held.registry);
	reservations_clear(&reservations);
	CU_ASSERT_TRUE(node->committed == 0 && node->promised == 0);
	CU_ASSERT_TRUE(reservations.count == 0 && reservations.bytes == 0);
	held_end(&held);
}

/* NULL, with who refuses it. */
static struct reservation *reserve(const char *name, uint64_t pages, int node,
	struct tenant *tenant, const struct budget **refused)
{
	const struct reservation_create_parameters told = {.name = name,
		.size = pages * HELD_PAGE,
		.node = node == NODE_ANY ? FIELD_UNSET : (uint64_t)node,
		.ttl_ms = 3600000};
	struct reservation *reservation = NULL;

	reservations_make(&reservations, &told, tenant, &reservation, refused);
	return reservation;
}

static struct vm *open_with(struct reservation *consume_reservation, uint64_t pages)
{
	const struct owner_name name = {.uid = HELD_USER_UID};
	struct process process = {
		.identity = 1, .pid = 1, .uid = HELD_USER_UID, .pidfd = pidfd_open(getpid(), 0)};
	struct vm_request request = {
		.name = "reserved", .commit_limit = pages * HELD_PAGE, .is_reserved = true};
	struct vm *vm = NULL;

	CU_ASSERT_EQUAL_FATAL(owner_get(held.owners, &name, &request.opener), 0);
	CU_ASSERT_EQUAL_FATAL(vm_new(&held.registry, &process, &request, &vm), 0);
	CU_ASSERT_EQUAL(vm_take_reservation(vm, consume_reservation), 0);
	owner_unref(request.opener);
	process_release(&process);
	return vm;
}

static struct memory *create(struct vm *vm, uint64_t pages, const struct budget **refused)
{
	const struct memory_request request = {
		.size = pages * HELD_PAGE, .backing = BACKING_GUEST_MEMFD, .node = NODE};
	struct memory *memory = NULL;
	uint64_t bytes;

	*refused = NULL;
	memory_new(vm, &request, &memory, refused, &bytes);
	return memory;
}

/* The node promises what the host does, and the VM's memory there is of that promise; beyond it, of
 * what the node has left. */
static void test_node(void)
{
	struct budget *node;
	const struct budget *refused;
	struct reservation *reservation;
	struct memory *beyond;
	struct vm *vm;

	set_up();
	node = capacity_of_node(&held.capacity, NODE);
	reservation = reserve("one", 20, NODE, NULL, &refused);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reservation);
	CU_ASSERT_PTR_NULL(reserve("too much", NODE_PAGES - 19, NODE, NULL, &refused));
	CU_ASSERT_PTR_EQUAL(refused, node);
	CU_ASSERT_TRUE(node->committed == 20 * HELD_PAGE && node->promised == 20 * HELD_PAGE);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 20 * HELD_PAGE);
	vm = open_with(reservation, 20);
	CU_ASSERT_TRUE(node->committed == 20 * HELD_PAGE && node->promised == 20 * HELD_PAGE);
	CU_ASSERT_EQUAL(held.capacity.host.promised, 20 * HELD_PAGE);
	CU_ASSERT_PTR_NOT_NULL(create(vm, 10, &refused));
	CU_ASSERT_PTR_NOT_NULL(create(vm, 10, &refused));
	CU_ASSERT_EQUAL(node->committed, 20 * HELD_PAGE);
	CU_ASSERT_PTR_NULL(create(vm, 1, &refused));
	CU_ASSERT_PTR_EQUAL(refused, &vm->budget);
	CU_ASSERT_PTR_NULL(budget_set_limit(&vm->budget, 100 * HELD_PAGE));
	beyond = create(vm, 15, &refused);
	CU_ASSERT_PTR_NOT_NULL_FATAL(beyond);
	CU_ASSERT_EQUAL(node->committed, 35 * HELD_PAGE);
	CU_ASSERT_PTR_NULL(create(vm, 6, &refused));
	CU_ASSERT_PTR_EQUAL(refused, node);
	memory_free(beyond);
	CU_ASSERT_EQUAL(node->committed, 20 * HELD_PAGE);
	tear_down();
}

static struct budget *of_node(struct tenant *tenant)
{
	struct budget *budget = NULL;

	CU_ASSERT_EQUAL_FATAL(tenant_of_node(tenant, NODE, &budget), 0);
	return budget;
}

/* What a tenant has in reserve of a node is there for what is reserved for it there, when others
 * have all the rest; its VM's memories are of it, too. */
static void test_of_node_reserve(void)
{
	const struct budget *refused;
	struct reservation *reservation;
	struct tenant *tenant;
	struct budget *node;
	struct vm *vm;

	set_up();
	node = capacity_of_node(&held.capacity, NODE);
	CU_ASSERT_EQUAL_FATAL(tenants_get(&held.registry.tenants, "", HELD_USER_UID, &tenant), 0);
	CU_ASSERT_PTR_NULL(budget_set_reserve(of_node(tenant), 30 * HELD_PAGE));
	CU_ASSERT_PTR_NOT_NULL(reserve("another's", NODE_PAGES - 30, NODE, NULL, &refused));
	CU_ASSERT_PTR_NULL(reserve("one too much", 1, NODE, NULL, &refused));
	CU_ASSERT_PTR_EQUAL(refused, node);
	reservation = reserve("one", 20, NODE, tenant, &refused);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reservation);
	CU_ASSERT_PTR_NULL(reserve("too much", 11, NODE, tenant, &refused));
	vm = open_with(reservation, 20);
	CU_ASSERT_PTR_NULL(budget_set_limit(&vm->budget, 100 * HELD_PAGE));
	CU_ASSERT_PTR_NOT_NULL(create(vm, 20, &refused));
	CU_ASSERT_PTR_NOT_NULL(create(vm, 10, &refused));
	CU_ASSERT_PTR_NULL(create(vm, 1, &refused));
	CU_ASSERT_PTR_EQUAL(refused, node);
	CU_ASSERT_TRUE(node->committed == NODE_PAGES * HELD_PAGE);
	vm_free(vm);
	CU_ASSERT_TRUE(of_node(tenant)->committed == 0 && node->used == 0);
	budget_set_reserve_anyway(of_node(tenant), 0);
	tenant_unref(tenant);
	tear_down();
}

/* A VM takes along what it has and is promised of its node, unless that would take from others what
 * they have: then it stays as it was. */
static void test_moved(void)
{
	struct vm_move_refused why;
	const struct budget *refused;
	struct tenant *to, *third;
	struct budget *node;
	struct vm *vm;

	set_up();
	node = capacity_of_node(&held.capacity, NODE);
	CU_ASSERT_EQUAL_FATAL(tenants_get(&held.registry.tenants, "", 7, &to), 0);
	CU_ASSERT_EQUAL_FATAL(tenants_get(&held.registry.tenants, "", 8, &third), 0);
	vm = open_with(reserve("one", 20, NODE, NULL, &refused), 20);
	CU_ASSERT_PTR_NULL(budget_set_limit(&vm->budget, 100 * HELD_PAGE));
	CU_ASSERT_PTR_NOT_NULL(create(vm, 15, &refused));
	CU_ASSERT_PTR_NOT_NULL(create(vm, 15, &refused));
	CU_ASSERT_EQUAL(vm_move(vm, to, vm->budget.limit, &why), 0);
	CU_ASSERT_TRUE(of_node(to)->committed == 35 * HELD_PAGE && node->used == 30 * HELD_PAGE);
	CU_ASSERT_TRUE(
		of_node(to)->promised == 20 * HELD_PAGE && node->committed == 35 * HELD_PAGE);
	CU_ASSERT_PTR_NULL(budget_set_reserve(of_node(to), 40 * HELD_PAGE));
	CU_ASSERT_EQUAL(vm_move(vm, third, vm->budget.limit, &why), -EDQUOT);
	CU_ASSERT_PTR_EQUAL(why.budget, node);
	CU_ASSERT_TRUE(of_node(to)->committed == 35 * HELD_PAGE && vm->tenant == to);
	CU_ASSERT_TRUE(of_node(third)->committed == 0 && node->committed == 40 * HELD_PAGE);
	budget_set_reserve_anyway(of_node(to), 0);
	CU_ASSERT_EQUAL(vm_move(vm, third, vm->budget.limit, &why), 0);
	CU_ASSERT_TRUE(of_node(to)->committed == 0 && of_node(third)->committed == 35 * HELD_PAGE);
	vm_free(vm);
	CU_ASSERT_EQUAL(node->committed, 0);
	tenant_unref(to);
	tenant_unref(third);
	tear_down();
}

/* Less than all of it: the rest is the host's and the node's again. */
static void test_less(void)
{
	const struct budget *refused;
	struct reservation *reservation;

	set_up();
	reservation = reserve("one", 20, NODE, NULL, &refused);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reservation);
	open_with(reservation, 5);
	CU_ASSERT_EQUAL(capacity_of_node(&held.capacity, NODE)->committed, 5 * HELD_PAGE);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 5 * HELD_PAGE);
	CU_ASSERT_EQUAL(reservations.count, 0);
	tear_down();
}

static void test_users(void)
{
	struct reservation *of_tenant, *of_nobody;
	const struct budget *refused;
	struct tenant *tenant, *other;

	set_up();
	CU_ASSERT_EQUAL_FATAL(tenants_get(&held.registry.tenants, "", 1, &tenant), 0);
	CU_ASSERT_EQUAL_FATAL(tenants_get(&held.registry.tenants, "", 2, &other), 0);
	of_tenant = reserve("theirs", 1, NODE_ANY, tenant, &refused);
	of_nobody = reserve("nobody's", 1, NODE_ANY, NULL, &refused);
	CU_ASSERT_FATAL(of_tenant && of_nobody);
	CU_ASSERT_PTR_NULL(reserve("theirs", 1, NODE_ANY, NULL, &refused));
	CU_ASSERT_PTR_EQUAL(reservations_find_for(&reservations, "theirs", tenant), of_tenant);
	CU_ASSERT_PTR_EQUAL(reservations_find_for(&reservations, of_tenant->id, tenant), of_tenant);
	CU_ASSERT_PTR_NULL(reservations_find_for(&reservations, "theirs", other));
	CU_ASSERT_PTR_NULL(reservations_find_for(&reservations, of_tenant->id, other));
	CU_ASSERT_PTR_NULL(reservations_find_for(&reservations, "nobody's", tenant));
	CU_ASSERT_PTR_EQUAL(reservations_find_for(&reservations, of_nobody->id, other), of_nobody);
	of_nobody->end = reservations_now();
	CU_ASSERT_PTR_NULL(reservations_find(&reservations, of_nobody->id));
	CU_ASSERT_PTR_NULL(reservations_find(&reservations, "nobody's"));
	tenant_unref(tenant);
	tenant_unref(other);
	tear_down();
}

/* What a record says that can't be is not believed. */
static void check_refused(const struct reservation_record *record)
{
	char tenant[NAME_BYTES_MAX + 1];
	struct reservation told;

	CU_ASSERT_TRUE_FATAL(reservation_record_read(record, sizeof *record, &told, tenant));
	CU_ASSERT_EQUAL(reservations_recover(&reservations, &told, tenant), -EBADMSG);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 20 * HELD_PAGE);
}

static void check_wrong_records(const struct reservation_record *right)
{
	struct reservation_record record = *right;
	char tenant[NAME_BYTES_MAX + 1];
	struct reservation told;

	check_refused(right); /* its name and id are another's by now */
	memset(record.id, 1, sizeof record.id);
	check_refused(&record);
	record.number++;
	check_refused(&record);
	strcpy(record.name, "another");
	record.size = 0;
	check_refused(&record);
	record.size = UINT64_MAX;
	check_refused(&record);
	record.size = 2000 * HELD_PAGE;
	check_refused(&record);
	record.size = HELD_PAGE;
	record.end += 3600000;
	check_refused(&record);
	record.end -= 3600000;
	record.ttl = RESERVATION_MS_MAX + 1;
	check_refused(&record);
	record.ttl = right->ttl;
	record.node = -2;
	check_refused(&record);
	record.node = -1;
	memset(record.name, '\n', sizeof record.name);
	check_refused(&record);
	record.kind++;
	CU_ASSERT_FALSE(reservation_record_read(&record, sizeof record, &told, tenant));
}

static void test_records(void)
{
	char name[NAME_BYTES_MAX + 1], read[NAME_BYTES_MAX + 1];
	struct reservation_record record;
	struct reservation *reservation, told;
	const struct budget *refused;
	struct tenant *tenant;

	set_up();
	memset(name, 'x', NAME_BYTES_MAX);
	name[NAME_BYTES_MAX] = '\0';
	CU_ASSERT_EQUAL_FATAL(tenants_get(&held.registry.tenants, "", 1, &tenant), 0);
	reservation = reserve(name, 20, NODE, tenant, &refused);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reservation);
	tenant_unref(tenant);
	reservation_record_write(reservation, &record);
	reservations_clear(&reservations);
	CU_ASSERT_EQUAL(held.capacity.host.committed, 0);
	CU_ASSERT_TRUE_FATAL(reservation_record_read(&record, sizeof record, &told, read));
	CU_ASSERT_STRING_EQUAL(read, "uid:1");
	CU_ASSERT_EQUAL(reservations_recover(&reservations, &told, read), 0);
	reservation = reservations_find(&reservations, name);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reservation);
	CU_ASSERT_TRUE(reservation->node == NODE && reservation->ttl == 3600000);
	CU_ASSERT_STRING_EQUAL(reservation->tenant->name, "uid:1");
	CU_ASSERT_EQUAL(capacity_of_node(&held.capacity, NODE)->promised, 20 * HELD_PAGE);
	check_wrong_records(&record);
	tear_down();
}

#define UUID "123e4567-e89b-12d3-a456-42661417400f"

/* By its UUID, in letters of either case, and by nothing else; as before in a successor. */
static void check_of_machine(void)
{
	const struct reservation *reservation = reservations_of_machine(&reservations, UUID);

	CU_ASSERT_PTR_NOT_NULL_FATAL(reservation);
	CU_ASSERT_STRING_EQUAL(reservation->machine, "qemu-7-");
	CU_ASSERT_PTR_EQUAL(
		reservations_of_machine(&reservations, "123E4567-E89B-12D3-A456-42661417400F"),
		reservation);
	CU_ASSERT_PTR_NULL(reservations_find_for(&reservations, UUID, NULL));
	CU_ASSERT_PTR_NULL(reservations_find_for(&reservations, reservation->id, NULL));
	CU_ASSERT_PTR_NULL(reservations_of_machine(&reservations, "other"));
	CU_ASSERT_PTR_NULL(reservations_of_machine(&reservations, ""));
}

static void test_machine(void)
{
	const struct reservation_create_parameters told = {.name = UUID,
		.size = HELD_PAGE,
		.machine = "qemu-7-",
		.node = FIELD_UNSET,
		.ttl_ms = 3600000};
	char tenant[NAME_BYTES_MAX + 1];
	struct reservation_record record;
	struct reservation *reservation, again;
	const struct budget *refused;

	set_up();
	CU_ASSERT_PTR_NOT_NULL(reserve("other", 1, NODE_ANY, NULL, &refused));
	CU_ASSERT_EQUAL_FATAL(
		reservations_make(&reservations, &told, NULL, &reservation, &refused), 0);
	check_of_machine();
	reservation_record_write(reservation, &record);
	reservations_clear(&reservations);
	CU_ASSERT_TRUE_FATAL(reservation_record_read(&record, sizeof record, &again, tenant));
	CU_ASSERT_EQUAL(reservations_recover(&reservations, &again, tenant), 0);
	check_of_machine();
	tear_down();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"of a node", test_node},
		{"of a tenant's reserve of a node", test_of_node_reserve},
		{"of a VM that is moved", test_moved},
		{"a VM that wants less", test_less},
		{"who may use it", test_users},
		{"records", test_records},
		{"of a machine", test_machine},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {{.pName = "reservation", .pTests = tests}, CU_SUITE_INFO_NULL};

	return unit_main(suites);
}
