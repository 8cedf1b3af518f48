/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VMM of libgmem's for test_steps.py: makes both halves of private memory, and once it is told to
 * go on by a line, converts: says what was wrong or "done", and stays until its input ends.
 *
 *     convert_once SOCKET
 *
 * On a kernel that has them, its VM is of the type with private memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"

#define SW_PROTECTED 1 /* KVM_X86_SW_PROTECTED_VM */

#define PAGE  UINT64_C(4096)
#define PAGES 16
#define LARGE (UINT64_C(4) << 20) /* whose stale half libgmem leaves to gmemd */

static struct gmem *gmem;
static struct gmem_vm *vm;
static struct gmem_memory *private_half, *shared_half;

static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	printf("%s: %s, %s\n", what, strerror(-r), gmem_last_error());
	exit(EXIT_FAILURE);
}

static bool has_private_type(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int types = ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_VM_TYPES);

	close(fd);
	return types > 0 && types & 1 << SW_PROTECTED;
}

static void open_vm(const char *socket)
{
	const struct gmem_vm_options options = {.name = "library",
		.type = has_private_type() ? GMEM_TYPE_SW_PROTECTED : NULL,
		.gate = GMEM_GATE_NONE};
	const struct gmem_memory_options private = {.flags = GMEM_MEMORY_NO_FLAGS};
	const struct gmem_memory_options shared = {.backing = GMEM_BACKING_MEMFD};
	struct gmem_slot slot = {.memory_size = LARGE};
	void *bytes;

	need(gmem_connect(socket, &gmem), "connecting");
	need(gmem_vm_open(gmem, &options, &vm), "opening the VM");
	need(gmem_memory_create(vm, LARGE, &private, &private_half), "the private half");
	need(gmem_memory_create(vm, LARGE, &shared, &shared_half), "the shared half");
	need(gmem_memory_map(shared_half, 0, LARGE, PROT_READ | PROT_WRITE, &bytes), "mapping");
	slot.userspace_addr = (uintptr_t)bytes;
	slot.memory = private_half;
	slot.shared_memory = shared_half;
	need(gmem_slot_bind(vm, &slot), "binding");
}

/* The half that goes stale has all its pages. */
static void convert(enum gmem_state to, uint64_t first, uint64_t pages, unsigned flags, bool tells)
{
	struct gmem_memory *stale = to == GMEM_PRIVATE ? shared_half : private_half;
	uint64_t size = pages * PAGE, expected = flags & GMEM_CONVERT_KEEP ? 0 : size;
	uint64_t discarded = 0;

	need(fallocate(gmem_memory_fd(stale), FALLOC_FL_KEEP_SIZE, (off_t)(first * PAGE),
		     (off_t)size) < 0
			? -errno
			: 0,
		"allocating");
	need(gmem_convert(vm, to, first * PAGE, size, flags, tells ? &discarded : NULL),
		"converting");
	/* Of what gmemd gives back, a successor that answers for it has not heard how much. */
	if (!tells || discarded == expected || (size == LARGE && discarded == 0))
		return;
	printf("%" PRIu64 " bytes are said to be discarded of %" PRIu64 "\n", discarded, expected);
	exit(EXIT_FAILURE);
}

/* In the end the first page is private, and nothing is in both halves. */
static void convert_all(void)
{
	convert(GMEM_PRIVATE, 0, LARGE / PAGE, 0, true);
	convert(GMEM_SHARED, 0, PAGES, 0, true);
	convert(GMEM_PRIVATE, 1, 2, 0, false);
	convert(GMEM_SHARED, 1, 2, GMEM_CONVERT_KEEP, true);
	convert(GMEM_PRIVATE, 2, 1, 0, true);
	convert(GMEM_SHARED, 0, LARGE / PAGE, 0, false);
	convert(GMEM_PRIVATE, 0, 1, 0, true);
}

/* gmemd has read all reports once it has answered. */
static void await_gmemd(void)
{
	char *result;

	need(gmem_call(gmem, "ping", "{}", &result), "ping");
	free(result);
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_vm(argv[1]);
	printf("%s\n", gmem_vm_id(vm));
	if (!fgets(line, sizeof line, stdin))
		return EXIT_SUCCESS;
	convert_all();
	await_gmemd();
	printf("done\n");
	while (fgets(line, sizeof line, stdin)) {
	}
	return EXIT_SUCCESS;
}
