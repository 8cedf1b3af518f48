/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VMM of libgmem's that converts, on a kernel with private memory: a guest looks at every frame,
 * whatever becomes of gmemd meanwhile. Or what a conversion costs, beside the same ioctls and
 * punches of a process that owns its VM. Reports as TAP.
 *
 *     converting SOCKET CONVERSIONS    0: what one costs, alone
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"
#include "kernel/model/model.h"
#include "tests/conformance/guest.h"

#define PAGE   UINT64_C(4096)
#define BASE   UINT64_C(0x1000000)
#define FRAMES 512
#define RANGE  16 /* frames of a conversion, at most */
#define TIMES  100

static struct gmem *gmem;
static struct gmem_vm *vm;
static struct gmem_memory *private_half, *shared_half;
static struct guest *guest;
static uint8_t *bytes;           /* the shared half's */
static uint8_t expected[FRAMES]; /* what the guest is to see */
static bool is_private[FRAMES];

static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	printf("not ok - %s: %s, %s\n", what, strerror(-r), gmem_last_error());
	exit(EXIT_FAILURE);
}

static void open_vm(const char *socket)
{
	const struct gmem_vm_options options = {
		.name = "converting", .type = GMEM_TYPE_SW_PROTECTED, .gate = GMEM_GATE_NONE};
	const struct gmem_memory_options private = {.flags = GMEM_MEMORY_NO_FLAGS};
	const struct gmem_memory_options shared = {.backing = GMEM_BACKING_MEMFD};
	struct gmem_slot slot = {.guest_phys_addr = BASE, .memory_size = FRAMES * PAGE};

	need(gmem_connect(socket, &gmem), "connecting");
	need(gmem_vm_open(gmem, &options, &vm), "opening the VM");
	need(gmem_memory_create(vm, FRAMES * PAGE, &private, &private_half), "the private half");
	need(gmem_memory_create(vm, FRAMES * PAGE, &shared, &shared_half), "the shared half");
	need(gmem_memory_map(
		     shared_half, 0, FRAMES * PAGE, PROT_READ | PROT_WRITE, (void **)&bytes),
		"mapping");
	slot.userspace_addr = (uintptr_t)bytes;
	slot.memory = private_half;
	slot.shared_memory = shared_half;
	need(gmem_slot_bind(vm, &slot), "binding");
	need(guest_new(gmem_vm_kvm_fd(vm), gmem_vm_fd(vm), &guest), "the guest");
}

static void look(unsigned frame)
{
	uint8_t byte = 0;
	int r = guest_access(guest, BASE + frame * PAGE, &byte, /* write= */ false);

	if (r == MODEL_ACCESS_DONE && byte == expected[frame])
		return;
	printf("not ok - frame %u, %s: the guest has %d and sees %#x, expected %#x\n", frame,
		is_private[frame] ? "private" : "shared", r, byte, expected[frame]);
	exit(EXIT_FAILURE);
}

/* Each half's byte is its own: what a stale half had is never seen again. */
static void write_frame(unsigned frame)
{
	uint8_t byte = (uint8_t)(1 + rand() % 255);

	expected[frame] = 0;
	look(frame);
	if (is_private[frame])
		need(guest_access(guest, BASE + frame * PAGE, &byte, true) == MODEL_ACCESS_DONE
				? 0
				: -EIO,
			"the guest writes");
	else
		bytes[frame * PAGE] = byte;
	expected[frame] = byte;
	look(frame);
}

static void convert(unsigned first, unsigned count, bool private)
{
	uint64_t discarded;
	bool changed[RANGE];

	for (unsigned i = 0; i < count; i++) {
		changed[i] = is_private[first + i] != private;
		is_private[first + i] = private;
	}
	need(gmem_convert(vm, private ? GMEM_PRIVATE : GMEM_SHARED, BASE + first * PAGE,
		     count * PAGE, 0, rand() % 2 ? &discarded : NULL),
		"converting");
	for (unsigned i = 0; i < count; i++) {
		if (changed[i])
			write_frame(first + i);
		else
			look(first + i);
	}
}

static void convert_many(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		unsigned first = (unsigned)rand() % (FRAMES - RANGE);

		convert(first, 1 + (unsigned)rand() % RANGE, rand() % 2);
		look((unsigned)rand() % FRAMES);
	}
	for (unsigned frame = 0; frame < FRAMES; frame++)
		look(frame);
	printf("ok - %u conversions, each frame as it is to be\n", times);
}

/* What it costs */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double time_gmem(uint64_t pages)
{
	double start = now();
	uint64_t discarded;

	for (unsigned i = 0; i < TIMES; i++)
		need(gmem_convert(vm, i % 2 ? GMEM_SHARED : GMEM_PRIVATE, BASE, pages * PAGE, 0,
			     &discarded),
			"converting");
	return now() - start;
}

/* A process's own VM: the same, without gmemd. */
static double time_own(int kvm_fd, uint64_t pages)
{
	struct kvm_create_guest_memfd create = {.size = FRAMES * PAGE};
	struct kvm_memory_attributes attributes = {.address = BASE, .size = pages * PAGE};
	int own_vm = ioctl(kvm_fd, KVM_CREATE_VM, 1ul);
	int memory = ioctl(own_vm, KVM_CREATE_GUEST_MEMFD, &create);
	double start = now();

	for (unsigned i = 0; i < TIMES; i++) {
		attributes.attributes = i % 2 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE;
		need(ioctl(own_vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes) < 0 ? -errno : 0,
			"KVM_SET_MEMORY_ATTRIBUTES");
		need(fallocate(i % 2 ? memory : gmem_memory_fd(shared_half),
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			     (off_t)(pages * PAGE)) < 0
				? -errno
				: 0,
			"punching");
	}
	start = now() - start;
	close(memory);
	close(own_vm);
	return start;
}

static void print_cost(uint64_t pages)
{
	double own = time_own(gmem_vm_kvm_fd(vm), pages), with = time_gmem(pages);

	printf("# gmem_convert() of %" PRIu64 " pages takes %.2f times as long as the same ioctl "
	       "and punch of a process that owns its VM (%.0f and %.0f us)\n",
		pages, with / own, with / TIMES * 1e6, own / TIMES * 1e6);
}

int main(int argc, char **argv)
{
	unsigned times = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

	if (argc != 3) {
		fprintf(stderr, "Usage: converting SOCKET CONVERSIONS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_vm(argv[1]);
	if (times > 0) {
		convert_many(times);
	} else {
		print_cost(1);
		print_cost(256);
	}
	guest_free(guest);
	return EXIT_SUCCESS;
}
