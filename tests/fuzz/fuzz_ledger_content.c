/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ledger's content: records with right checksums that say anything, as a gmemd takes over. What
 * it makes of them is a VM as requests make one, and all of it can be given back.
 *
 * An input is records, each its index and its bytes. Where one is of a memory with a file, there is
 * such a file, as the keeper would have it.
 */
#include <string.h>
#include <unistd.h>

#include "daemon/start/recover_content.h"
#include "daemon/vm/memory.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_record.h"
#include "tests/fuzz/check_vm.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/private_vm.h"

#define LAST_ID      1000
#define RECORDS_USED 64
#define MEMORY_MAX   (1ull << 30)

/* In the place of what the keeper holds: one file for each memory that is told of. */
struct inherited_fds {
	const struct ledger *ledger;
};

int inherited_fds_take(
	struct inherited_fds *inherited, enum fdstore_kind kind, uint64_t owner, uint64_t member)
{
	union record record;
	char name[64];
	int fd;

	(void)kind;
	(void)owner;
	EACH_RECORD (inherited->ledger, index, RECORD_MEMORY, &record) {
		if (record.memory.id != member || record.memory.size > MEMORY_MAX)
			continue;
		snprintf(name, sizeof name, "gmemd-memory-%llu", (unsigned long long)member);
		return memory_file_create_memfd(name, record.memory.size, &fd) == 0 ? fd : -1;
	}
	return -1;
}

static struct ledger *read_ledger(struct fuzz_input *input)
{
	struct ledger *ledger;
	union record record;

	FUZZ_CHECK(ledger_new("fuzz", RECORD_SIZE, RECORDS_MAX, &ledger) == 0);
	while (input->left > 0) {
		uint32_t index = fuzz_byte(input) % RECORDS_USED;
		size_t length = fuzz_fill(input, &record, sizeof record);

		if (length > 0)
			FUZZ_CHECK(ledger_put(ledger, index, &record, length) == 0);
	}
	ledger_commit(ledger);
	return ledger;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	int fd = fuzz_free_fd();
	struct private_vm private_vm;
	struct inherited_fds inherited;
	struct ledger *ledger;

	private_vm_init(&private_vm, &backend_kvm);
	private_vm.gmemd.registry.last_id = private_vm.gmemd.registry.first_id = LAST_ID;
	ledger = read_ledger(&input);
	inherited.ledger = ledger;
	FUZZ_CHECK(recovery_content(private_vm.vm, ledger, &inherited) == 0);
	ledger_commit(ledger);
	check_vm(private_vm.vm);
	vm_stop(private_vm.vm);
	vm_drop(private_vm.vm);
	FUZZ_CHECK(private_vm.vm->budget.committed == private_vm.vm->closed_resident);
	FUZZ_CHECK(private_vm.vm->n_slots == 0 && private_vm.vm->n_memories == 0);
	private_vm_end(&private_vm);
	ledger_free(ledger);
	FUZZ_CHECK(fuzz_free_fd() == fd);
	return 0;
}
