/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Crowds. See crowd.h.
 */
#include "tests/bench/crowd.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/cleanup.h"
#include "tests/bench/bench.h"

#define SLOT_SIZE       0x10000
#define GUEST_PHYS_ADDR 0x10000000
#define USERSPACE_ADDR  0x100000000000 /* nothing is mapped there, and need not be */

static int bind(struct gmem_vm *vm, struct gmem_memory *memory, unsigned number,
	uint64_t guest_memfd_offset)
{
	const struct gmem_slot slot = {
		.slot = number,
		.guest_phys_addr = GUEST_PHYS_ADDR + (uint64_t)number * SLOT_SIZE,
		.memory_size = SLOT_SIZE,
		.userspace_addr = USERSPACE_ADDR + (uint64_t)number * SLOT_SIZE,
		.memory = memory,
		.guest_memfd_offset = guest_memfd_offset,
	};

	return gmem_slot_bind(vm, &slot);
}

static int make_memory(struct gmem_vm *vm, unsigned first_slot, unsigned slots)
{
	struct gmem_memory *memory;
	int r = gmem_memory_create(vm, (uint64_t)slots * SLOT_SIZE, NULL, &memory);

	for (unsigned i = 0; r == 0 && i < slots; i++)
		r = bind(vm, memory, first_slot + i, (uint64_t)i * SLOT_SIZE);
	return r;
}

static int make_vm(const char *socket, const struct crowd_plan *plan, struct gmem_vm **ret)
{
	char name[32];
	const struct gmem_vm_options options = {
		.name = name, .gate = plan->no_gate ? GMEM_GATE_NONE : GMEM_GATE_REQUIRED};
	unsigned slots = plan->slots / plan->memories;
	struct gmem *gmem;
	int r;

	snprintf(name, sizeof name, "crowd-%d", getpid());
	r = gmem_connect(socket, &gmem);
	if (r == 0)
		r = gmem_vm_open(gmem, &options, ret);
	for (unsigned i = 0; r == 0 && i < plan->memories; i++)
		r = make_memory(*ret, i * slots, slots);
	if (r == -EREMOTEIO)
		fprintf(stderr, "%s\n", gmem_last_error());
	return r;
}

static _Noreturn void be_vmm(const char *socket, const struct crowd_plan *plan, int channel)
{
	struct gmem_vm *vm = NULL;
	char id[sizeof((struct crowd *)0)->last] = "";
	int r = make_vm(socket, plan, &vm);

	if (r < 0) {
		bench_failed("a VMM", r);
		_exit(EXIT_FAILURE);
	}
	snprintf(id, sizeof id, "%s", gmem_vm_id(vm));
	if (write(channel, id, sizeof id) == sizeof id)
		fd_close(channel);
	for (;;)
		pause();
}

static int add_vmm(const char *socket, const struct crowd_plan *plan, struct crowd *crowd)
{
	int channel[2];
	pid_t pid;
	ssize_t length;

	if (pipe(channel) < 0)
		return -errno;
	pid = bench_fork();
	if (pid == 0) {
		fd_close(channel[0]);
		be_vmm(socket, plan, channel[1]);
	}
	fd_close(channel[1]);
	if (pid > 0)
		crowd->pids[crowd->count++] = pid;
	length = pid < 0 ? 0 : read(channel[0], crowd->last, sizeof crowd->last);
	fd_close(channel[0]);
	if (pid < 0)
		return pid;
	return length == sizeof crowd->last ? 0 : -ECHILD;
}

int crowd_start(const char *socket, const struct crowd_plan *plan, struct crowd *ret)
{
	int r = 0;

	*ret = (struct crowd){.pids = calloc(plan->vmms + 1, sizeof *ret->pids)};
	if (!ret->pids)
		return -ENOMEM;
	while (r == 0 && ret->count < plan->vmms)
		r = add_vmm(socket, plan, ret);
	return r;
}

void crowd_end(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->count; i++)
		kill(crowd->pids[i], SIGKILL);
	for (unsigned i = 0; i < crowd->count; i++)
		waitpid(crowd->pids[i], NULL, 0);
	free(crowd->pids);
	*crowd = (struct crowd){.pids = NULL};
}
