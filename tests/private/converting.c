/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VMM of libgmem's that converts, on a kernel with private memory, whatever becomes of gmemd
 * meanwhile. Reports as TAP.
 *
 *     converting SOCKET look CONVERSIONS
 *         a guest looks at every frame
 *     converting SOCKET resident SECONDS
 *         a guest runs, and both halves together have at no time more pages than the VM's size and
 *         what is being converted
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"
#include "kernel/host/memory_file.h"
#include "kernel/model/model.h"
#include "tests/conformance/guest.h"

#define PAGE   UINT64_C(4096)
#define BASE   UINT64_C(0x1000000)
#define FRAMES 2048
#define RANGE  16   /* frames of a conversion, at most */
#define LARGE  1024 /* the same, of one whose stale half is gmemd's to give back */
#define LOOKED 512  /* at frames, from the first on */

static struct gmem *gmem;
static struct gmem_vm *vm;
static struct gmem_memory *private_half, *shared_half;
static struct guest *guest;
static uint8_t *bytes;           /* the shared half's */
static uint8_t expected[FRAMES]; /* what the guest is to see */
static bool is_private[FRAMES];
static bool is_touched[FRAMES]; /* it has a page, in the half that is in use */

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
	int r;

	is_touched[frame] = true;
	r = guest_access(guest, BASE + frame * PAGE, &byte, /* write= */ false);

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

static uint64_t resident(void)
{
	uint64_t private, shared;

	need(memory_file_resident(gmem_memory_fd(private_half), &private), "counting pages");
	need(memory_file_resident(gmem_memory_fd(shared_half), &shared), "counting pages");
	return private + shared;
}

static void check_discarded(uint64_t discarded, uint64_t stale)
{
	if (discarded == stale)
		return;
	printf("not ok - %" PRIu64 " bytes are said to be discarded, %" PRIu64 " were stale\n",
		discarded, stale);
	exit(EXIT_FAILURE);
}

static void convert(unsigned first, unsigned count, bool private)
{
	uint64_t discarded, stale = 0;
	bool changed[RANGE], tells = rand() % 2;

	for (unsigned i = 0; i < count; i++) {
		changed[i] = is_private[first + i] != private;
		is_private[first + i] = private;
		if (changed[i] && is_touched[first + i])
			stale += PAGE;
	}
	need(gmem_convert(vm, private ? GMEM_PRIVATE : GMEM_SHARED, BASE + first * PAGE,
		     count * PAGE, 0, tells ? &discarded : NULL),
		"converting");
	if (tells)
		check_discarded(discarded, stale);
	for (unsigned i = 0; i < count; i++) {
		if (changed[i])
			write_frame(first + i);
		else
			look(first + i);
	}
}

static void look_at_all(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		unsigned first = (unsigned)rand() % (LOOKED - RANGE);

		convert(first, 1 + (unsigned)rand() % RANGE, rand() % 2);
		look((unsigned)rand() % LOOKED);
	}
	for (unsigned frame = 0; frame < LOOKED; frame++)
		look(frame);
	printf("ok - %u conversions, each frame as it is to be\n", times);
	if (resident() > LOOKED * PAGE)
		printf("not ok - %" PRIu64 " bytes are resident of %" PRIu64 "\n", resident(),
			LOOKED * PAGE);
	else
		printf("ok - no frame has pages in both halves\n");
}

/* What is resident */

static _Atomic uint64_t begun, ended; /* bytes of conversions */
static _Atomic bool over;

/* Wherever a frame is by then: what is being converted is seen as either, or faults once more. */
static void *run_guest(void *context)
{
	unsigned chance = 1;

	(void)context;
	for (uint64_t at = 0; !over; at++) {
		uint64_t frame = at < FRAMES ? at : (uint64_t)rand_r(&chance) % FRAMES;
		uint8_t byte = 1;

		need(guest_access(guest, BASE + frame * PAGE, &byte, /* write= */ true),
			"the guest runs");
	}
	return NULL;
}

static void *convert_at_random(void *context)
{
	unsigned chance = 2;

	(void)context;
	while (!over) {
		unsigned most = rand_r(&chance) % 8 ? RANGE : LARGE;
		uint64_t first = (uint64_t)rand_r(&chance) % (FRAMES - most), discarded;
		uint64_t size = (1 + (uint64_t)rand_r(&chance) % most) * PAGE;

		begun += size;
		need(gmem_convert(vm, rand_r(&chance) % 2 ? GMEM_PRIVATE : GMEM_SHARED,
			     BASE + first * PAGE, size, 0, &discarded),
			"converting");
		ended += size;
	}
	return NULL;
}

/* A frame is counted twice at most where its conversion was pending at some time meanwhile. */
static bool watch(unsigned seconds)
{
	int64_t until = time(NULL) + seconds;
	uint64_t most = 0, looks = 0;

	for (; time(NULL) < until; looks++) {
		uint64_t before = ended, found = resident();
		uint64_t pending = begun - before;

		if (found > FRAMES * PAGE + pending) {
			printf("not ok - %" PRIu64 " bytes are resident, of a VM of %" PRIu64
			       " with %" PRIu64 " being converted\n",
				found, FRAMES * PAGE, pending);
			return false;
		}
		most = found > most ? found : most;
		usleep(200);
	}
	printf("# looked %" PRIu64 " times while %" PRIu64 " MiB were converted: %" PRIu64
	       " of %" PRIu64 " bytes at most\n",
		looks, ended >> 20, most, FRAMES * PAGE);
	return true;
}

static void watch_resident(unsigned seconds)
{
	pthread_t threads[2];
	bool held;

	need(-pthread_create(&threads[0], NULL, run_guest, NULL), "a thread");
	need(-pthread_create(&threads[1], NULL, convert_at_random, NULL), "a thread");
	held = watch(seconds);
	over = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (!held)
		exit(EXIT_FAILURE);
	printf("%s - in the end %" PRIu64 " bytes are resident, of %" PRIu64 "\n",
		resident() <= FRAMES * PAGE ? "ok" : "not ok", resident(), FRAMES * PAGE);
	printf("ok - for %u seconds no more is resident than the VM has and what is converted\n",
		seconds);
}

int main(int argc, char **argv)
{
	const char *what = argc >= 3 ? argv[2] : "";
	unsigned number = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

	if (number == 0) {
		fprintf(stderr, "Usage: converting SOCKET look CONVERSIONS | resident SECONDS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_vm(argv[1]);
	if (strcmp(what, "look") == 0)
		look_at_all(number);
	else
		watch_resident(number);
	guest_free(guest);
	return EXIT_SUCCESS;
}
