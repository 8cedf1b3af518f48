/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The random-kill test's guest and its VMM: one vCPU that sums its memory over and over, whatever
 * becomes of gmemd. See kill_guest.S.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/system/kill_peer.h"

extern const unsigned char kill_guest[], kill_guest_end[];

#define PAGE     UINT64_C(4096)
#define PART     PAGE /* little: some hosts emulate each instruction */
#define MEMORIES 2
#define SLOTS    4

#define SUMMED (SLOTS * PART - PAGE) /* and a page to count in */

#define PAUSE_US      5000 /* between passes: the host has more to do */
#define PING_PAUSE_US 20000

static struct gmem *gmem;
static struct gmem_vm *vm;
static struct gmem_memory *memories[MEMORIES];
static unsigned char *bytes[MEMORIES];
static struct gmem_slot slots[SLOTS];
static int vcpu;
static struct kvm_run *run;
static uint32_t expected;

/* The guest's memory is neither in one file nor in the files' order. */
static unsigned char *at(uint64_t guest_phys_addr)
{
	const struct gmem_slot *slot = &slots[guest_phys_addr / PART];

	return (unsigned char *)(uintptr_t)slot->userspace_addr + guest_phys_addr % PART;
}

static void create_memories(void)
{
	void *mapped;

	for (unsigned i = 0; i < MEMORIES; i++) {
		peer_doing(0, "creating memory");
		peer_need(gmem_memory_create(vm, 2 * PART, NULL, &memories[i]), "creating memory");
		peer_need(
			gmem_memory_map(memories[i], 0, 2 * PART, PROT_READ | PROT_WRITE, &mapped),
			"mapping memory");
		bytes[i] = mapped;
		peer_idle(0);
	}
}

static void bind_slots(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t offset = i < MEMORIES ? PART : 0;

		slots[i] = (struct gmem_slot){.slot = i,
			.guest_phys_addr = i * PART,
			.memory_size = PART,
			.userspace_addr = (uintptr_t)bytes[i % MEMORIES] + offset,
			.memory = memories[i % MEMORIES],
			.guest_memfd_offset = offset};
		peer_doing(0, "binding a slot");
		peer_need(gmem_slot_bind(vm, &slots[i]), "binding a slot");
		peer_idle(0);
	}
}

static void fill(void)
{
	size_t length = (size_t)(kill_guest_end - kill_guest);
	uint32_t sum = 0x811c9dc5, word;

	for (uint64_t address = 0; address < SUMMED; address += sizeof word) {
		word = (uint32_t)peer_mix(address + peer.seed);
		memcpy(at(address), &word, sizeof word);
	}
	memcpy(at(0), kill_guest, length);
	for (uint64_t address = 0; address < SUMMED; address += sizeof word) {
		memcpy(&word, at(address), sizeof word);
		sum = (sum ^ word) * 16777619;
	}
	expected = sum;
}

/* Protected mode, flat, no paging. */
static void set_registers(void)
{
	const struct kvm_segment data = {.limit = 0xffffffff,
		.type = 3,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
		.selector = 16};
	struct kvm_regs registers = {.rflags = 2, .rbx = SUMMED};
	struct kvm_sregs system;

	peer_need(ioctl(vcpu, KVM_GET_SREGS, &system) < 0 ? -errno : 0, "KVM_GET_SREGS");
	system.ds = system.es = system.ss = system.fs = system.gs = data;
	system.cs = data;
	system.cs.type = 11;
	system.cs.selector = 8;
	system.cr0 |= 1; /* PE */
	peer_need(ioctl(vcpu, KVM_SET_SREGS, &system) < 0 ? -errno : 0, "KVM_SET_SREGS");
	peer_need(ioctl(vcpu, KVM_SET_REGS, &registers) < 0 ? -errno : 0, "KVM_SET_REGS");
}

static void make_vcpu(void)
{
	int size;

	vcpu = ioctl(gmem_vm_fd(vm), KVM_CREATE_VCPU, 0ul);
	peer_need(vcpu < 0 ? -errno : 0, "KVM_CREATE_VCPU");
	size = ioctl(gmem_vm_kvm_fd(vm), KVM_GET_VCPU_MMAP_SIZE, 0);
	peer_need(size < 0 ? -errno : 0, "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	peer_need(run == MAP_FAILED ? -errno : 0, "mapping the vCPU");
	set_registers();
}

/* Where the guest differs from what it was filled with. */
static uint64_t first_difference(void)
{
	const uint64_t code = (uint64_t)(kill_guest_end - kill_guest);
	uint64_t address = 0;
	uint32_t word;

	for (; address < SUMMED; address += sizeof word) {
		word = (uint32_t)peer_mix(address + peer.seed);
		if (address >= code && memcmp(at(address), &word, sizeof word) != 0)
			break;
	}
	return address;
}

static void check_pass(uint32_t pass)
{
	uint32_t sum, counted;

	memcpy(&sum, (unsigned char *)run + run->io.data_offset, sizeof sum);
	if (sum != expected)
		peer_fail("the guest's memory has changed in pass %" PRIu32
			  ": its sum is %08" PRIx32 ", expected %08" PRIx32 "; first at %#" PRIx64,
			pass, sum, expected, first_difference());
	memcpy(&counted, at(SUMMED), sizeof counted);
	if (counted != pass)
		peer_fail("the guest has counted %" PRIu32 " passes, expected %" PRIu32, counted,
			pass);
}

/* Goes on while the process is paused, and ends with it. */
static void *run_vcpu(void *nothing)
{
	for (uint32_t pass = 1;; pass++) {
		int r;

		peer_doing(2, "pass %" PRIu32 " of the guest", pass);
		do
			r = ioctl(vcpu, KVM_RUN, 0);
		while (r < 0 && errno == EINTR);
		peer_need(r < 0 ? -errno : 0, "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO)
			peer_fail("the guest has left for reason %u", run->exit_reason);
		check_pass(pass);
		peer_done(2);
		usleep(PAUSE_US);
	}
	return nothing;
}

static void start(void)
{
	struct gmem_vm_options options = {.name = peer.name, .gate = peer.gate};
	pthread_t thread;

	gmem = peer_connect();
	peer_doing(0, "opening the VM");
	peer_need(gmem_vm_open(gmem, &options, &vm), "opening the VM");
	peer_idle(0);
	create_memories();
	bind_slots();
	fill();
	make_vcpu();
	peer_need(-pthread_create(&thread, NULL, run_vcpu, NULL), "starting the vCPU's thread");
	pthread_detach(thread);
}

/* A VMM hears that gmemd is gone, and tells the next one of its VM, when it asks for something. */
static void ping(unsigned thread)
{
	char *result;

	peer_doing(thread, "ping");
	peer_need(gmem_call(gmem, "ping", "{}", &result), "ping");
	peer_idle(thread);
	free(result);
}

static void work(unsigned thread)
{
	while (peer_goes_on()) {
		ping(thread);
		usleep(PING_PAUSE_US);
	}
}

static void print(FILE *to)
{
	struct stat status;

	ping(0);
	fprintf(to, "{\"vm\":\"%s\",\"refused\":false,\"memories\":[", gmem_vm_id(vm));
	for (unsigned i = 0; i < MEMORIES; i++) {
		peer_need(fstat(gmem_memory_fd(memories[i]), &status), "fstat");
		fprintf(to, "%s[%" PRIu64 ",%" PRIu64 ",\"guest_memfd\",null,%ju]",
			i > 0 ? "," : "", gmem_memory_id(memories[i]), 2 * PART,
			(uintmax_t)status.st_ino);
	}
	fputs("],\"slots\":[", to);
	for (unsigned i = 0; i < SLOTS; i++)
		fprintf(to,
			"%s[%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
			",0]",
			i > 0 ? "," : "", slots[i].slot, slots[i].guest_phys_addr,
			slots[i].memory_size, slots[i].userspace_addr,
			gmem_memory_id(slots[i].memory), slots[i].guest_memfd_offset);
	fputs("]}", to);
}

/* gmemd releases all that its process had. */
static void end(void)
{
}

const struct peer_role guest_role = {1, start, work, print, end};
