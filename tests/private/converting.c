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
 *     converting SOCKET cost
 *         what a conversion costs, beside the same ioctls and punches of a process that owns its VM
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
#define TIMES  100

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

/* What it costs */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* What goes stale has its pages. */
static void fill(int fd, uint64_t pages)
{
	need(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)(pages * PAGE)) < 0 ? -errno : 0,
		"allocating");
}

static double time_gmem(uint64_t pages, bool private)
{
	double start;
	uint64_t discarded;

	fill(gmem_memory_fd(private ? shared_half : private_half), pages);
	start = now();
	need(gmem_convert(
		     vm, private ? GMEM_PRIVATE : GMEM_SHARED, BASE, pages * PAGE, 0, &discarded),
		"converting");
	start = now() - start;
	check_discarded(discarded, pages * PAGE);
	return start;
}

/* A process's own VM, with a slot of both halves. */
struct own_vm {
	int fd;
	int halves[2]; /* shared and private */
	void *bytes;
};

static void own_vm_open(struct own_vm *own, int kvm_fd)
{
	struct kvm_create_guest_memfd create = {.size = FRAMES * PAGE};
	struct kvm_userspace_memory_region2 region = {.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = BASE,
		.memory_size = FRAMES * PAGE};

	own->fd = ioctl(kvm_fd, KVM_CREATE_VM, 1ul);
	need(memory_file_create_memfd("own", FRAMES * PAGE, &own->halves[0]), "a memfd");
	own->halves[1] = ioctl(own->fd, KVM_CREATE_GUEST_MEMFD, &create);
	own->bytes =
		mmap(NULL, FRAMES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own->halves[0], 0);
	region.userspace_addr = (uintptr_t)own->bytes;
	region.guest_memfd = (uint32_t)own->halves[1];
	need(ioctl(own->fd, KVM_SET_USER_MEMORY_REGION2, &region) < 0 ? -errno : 0,
		"binding a slot of its own");
}

static void own_vm_close(struct own_vm *own)
{
	munmap(own->bytes, FRAMES * PAGE);
	close(own->halves[0]);
	close(own->halves[1]);
	close(own->fd);
}

static void own_vm_convert(const struct own_vm *own, uint64_t pages, bool private)
{
	struct kvm_memory_attributes attributes = {.address = BASE,
		.size = pages * PAGE,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0};

	need(ioctl(own->fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes) < 0 ? -errno : 0,
		"KVM_SET_MEMORY_ATTRIBUTES");
	need(memory_file_punch(own->halves[!private], 0, pages * PAGE), "punching");
}

/* The same, without gmemd. */
static double time_own(const struct own_vm *own, uint64_t pages, bool private)
{
	double start;

	fill(own->halves[!private], pages);
	start = now();
	own_vm_convert(own, pages, private);
	return now() - start;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double median(double *times)
{
	qsort(times, TIMES, sizeof *times, compare);
	return times[TIMES / 2];
}

/* In turn: how fast an emulated machine is differs from second to second. */
static void print_cost(const struct own_vm *own, uint64_t pages)
{
	double own_times[TIMES], gmem_times[TIMES], alone, with;

	for (unsigned i = 0; i < TIMES; i++) {
		own_times[i] = time_own(own, pages, i % 2 == 0);
		gmem_times[i] = time_gmem(pages, i % 2 == 0);
	}
	alone = median(own_times);
	with = median(gmem_times);
	printf("# gmem_convert() of %" PRIu64 " pages takes %.2f times as long as the same ioctl "
	       "and punch of a process that owns its VM (%.0f and %.0f us)\n",
		pages, with / alone, with * 1e6, alone * 1e6);
}

/* Bytes of a request to convert one page, and of its answer. */
#define ASKED    190
#define ANSWERED 160

/* Another process that answers whatever it is sent, and does nothing else. */
static int start_answerer(pid_t *ret_pid)
{
	char packet[512] = {0};
	int pair[2];

	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0,
		"a pair of sockets");
	*ret_pid = fork();
	need(*ret_pid < 0 ? -errno : 0, "a process");
	if (*ret_pid == 0) {
		close(pair[0]);
		while (recv(pair[1], packet, sizeof packet, 0) > 0)
			send(pair[1], packet, ANSWERED, 0);
		_exit(0);
	}
	close(pair[1]);
	return pair[0];
}

static double time_asking(int socket)
{
	char packet[512] = {0};
	double start = now();

	need(send(socket, packet, ASKED, 0) < 0 ? -errno : 0, "asking");
	need(recv(socket, packet, sizeof packet, 0) < 0 ? -errno : 0, "an answer");
	return now() - start;
}

static double time_ping(void)
{
	char *result = NULL;
	double start = now();

	need(gmem_call(gmem, "ping", NULL, &result), "a ping");
	start = now() - start;
	free(result);
	return start;
}

/* The least that asking anybody takes, whoever it is. */
static void print_floor(const struct own_vm *own)
{
	double own_times[TIMES], asking[TIMES], pings[TIMES], alone;
	pid_t answerer;
	int socket = start_answerer(&answerer);

	for (unsigned i = 0; i < TIMES; i++) {
		own_times[i] = time_own(own, 1, i % 2 == 0);
		asking[i] = time_asking(socket);
		pings[i] = time_ping();
	}
	close(socket);
	waitpid(answerer, NULL, 0);
	alone = median(own_times);
	printf("# a packet to another process and back takes %.2f times as long as the ioctl and "
	       "punch of one page, a ping of gmemd %.2f times\n",
		median(asking) / alone, median(pings) / alone);
}

static void print_costs(void)
{
	struct own_vm own;

	own_vm_open(&own, gmem_vm_kvm_fd(vm));
	print_cost(&own, 1);
	print_cost(&own, 256);
	print_floor(&own);
	own_vm_close(&own);
	printf("ok - %u conversions each, and what they discard is told\n", TIMES);
}

int main(int argc, char **argv)
{
	const char *what = argc >= 3 ? argv[2] : "";
	unsigned number = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

	if ((number == 0) != (strcmp(what, "cost") == 0)) {
		fprintf(stderr, "Usage: converting SOCKET look CONVERSIONS | resident SECONDS | "
				"cost\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_vm(argv[1]);
	if (strcmp(what, "look") == 0)
		look_at_all(number);
	else if (strcmp(what, "resident") == 0)
		watch_resident(number);
	else
		print_costs();
	guest_free(guest);
	return EXIT_SUCCESS;
}
