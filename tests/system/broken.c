/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VMM of libgmem's for test_broken.py, whose connection breaks, whose gmemd is silent, or whose
 * gmemd and keeper are lost, while its threads are amid something. Says what was wrong or "done".
 *
 *     broken SOCKET SCENARIO
 *
 * What it can't do itself it asks of the test, by a line that the test answers with a number:
 *
 *     lose      gmemd and its keeper are killed, and there are others
 *     stop      gmemd is stopped
 *     continue  it goes on, and has answered an operator since
 *     close ID  an operator closes that memory
 *     vms       how many VMs of this process an operator is told of
 *
 * PRIVATE_KERNEL_FRAMES names the file of private_kernel.c's that says what is private.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"

#define PAGE  UINT64_C(4096)
#define PAGES 256u /* as many as the test says frames of */
#define SIZE  (PAGES * PAGE)

#define CALLS       10    /* of the first VM of two */
#define SHORT_LIMIT 500   /* ms that gmemd may be silent, before a call gives up */
#define LONG_LIMIT  60000 /* and once it is to answer again */
#define SILENCE     2200  /* ms, for which a slow answer is waited for */
#define CROWD       8     /* threads that want an answer at once */
#define RANGES      6     /* of one conversion */
#define MANY        128   /* the same, of one that takes a while */
#define CONVERSIONS 300
#define FULL        4    /* private ranges: the test's configuration has the same */
#define LOOKS       6000 /* at the VM, until it is as it must be */

static struct gmem *gmem;
static struct gmem_vm *vm;
static const volatile char *frames;
static atomic_bool stops; /* what other threads do again and again */

/* What is to happen when the ioctl is first issued, in the thread that issues it. */
static unsigned long hooked;
static _Atomic(void (*)(void)) hook;

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) =
		(int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	void (*now)(void) = NULL;
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (atomic_load(&hook) && request == hooked)
		now = atomic_exchange(&hook, NULL);
	if (now)
		now();
	return real(fd, request, argument);
}

static void at(unsigned long request, void (*what)(void))
{
	hooked = request;
	atomic_store(&hook, what);
}

static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	printf("%s: %s, %s\n", what, strerror(-r), gmem_last_error());
	exit(EXIT_FAILURE);
}

static void check(bool is_so, const char *what)
{
	if (is_so)
		return;
	printf("not so: %s\n", what);
	exit(EXIT_FAILURE);
}

static void start(void *(*run)(void *), pthread_t *thread)
{
	check(pthread_create(thread, NULL, run, NULL) == 0, "a thread starts");
}

static void pause_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* Threads take turns. */
static long ask_test(const char *what)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	char line[64];

	pthread_mutex_lock(&mutex);
	printf("%s\n", what);
	if (!fgets(line, sizeof line, stdin))
		exit(EXIT_FAILURE);
	pthread_mutex_unlock(&mutex);
	return atol(line);
}

static void lose(void)
{
	ask_test("lose");
}

static void stop(void)
{
	ask_test("stop");
}

static void shut(void)
{
	shutdown(gmem_fd(gmem), SHUT_RDWR);
}

static int ping(void)
{
	char *result;
	int r = gmem_call(gmem, "ping", "{}", &result);

	if (r == 0)
		free(result);
	return r;
}

/* The VM as gmemd has it. Until it has that text: gmemd looks at a report by itself, later. */
static void await(const char *text)
{
	char params[64], *view = NULL;

	snprintf(params, sizeof params, "{\"vm\":\"%s\"}", gmem_vm_id(vm));
	for (unsigned looks = 0; looks < LOOKS; looks++) {
		need(gmem_call(gmem, "vm.get", params, &view), "vm.get");
		if (strstr(view, text)) {
			free(view);
			return;
		}
		if (looks < LOOKS - 1)
			free(view);
		pause_ms(10);
	}
	printf("vm.get has no %s: %s\n", text, view);
	exit(EXIT_FAILURE);
}

static void await_no_calls(void)
{
	await("\"calls\":[]");
}

static void await_private(const struct gmem_range *ranges, unsigned count)
{
	char text[8192] = "\"private_ranges\":[";
	size_t length = strlen(text);

	for (unsigned i = 0; i < count; i++)
		length += (size_t)snprintf(text + length, sizeof text - length,
			"{\"guest_phys_addr\":%" PRIu64 ",\"size\":%" PRIu64 "}%s",
			ranges[i].guest_phys_addr, ranges[i].size, i < count - 1 ? "," : "]");
	await(text);
}

static void map_frames(void)
{
	const char *path = getenv("PRIVATE_KERNEL_FRAMES");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	frames = mmap(NULL, PAGES, PROT_READ, MAP_SHARED, fd, 0);
	need(frames == MAP_FAILED ? -EINVAL : 0, "PRIVATE_KERNEL_FRAMES");
	close(fd);
}

static void open_vm(enum gmem_state initial_state)
{
	const struct gmem_vm_options options = {
		.name = "broken", .gate = GMEM_GATE_NONE, .initial_state = initial_state};

	need(gmem_vm_open(gmem, &options, &vm), "opening a VM");
}

static struct gmem_memory *create(void)
{
	struct gmem_memory *memory;

	need(gmem_memory_create(vm, SIZE, NULL, &memory), "creating a memory");
	return memory;
}

static struct gmem_memory *create_private(void)
{
	const struct gmem_memory_options options = {.flags = GMEM_MEMORY_NO_FLAGS};
	struct gmem_memory *memory;

	need(gmem_memory_create(vm, SIZE, &options, &memory), "creating the private half");
	return memory;
}

/* A VM with both halves of private memory. */
static void open_halves(void)
{
	const struct gmem_memory_options memfd = {.backing = GMEM_BACKING_MEMFD};
	struct gmem_slot slot = {.memory_size = SIZE};
	void *bytes;

	open_vm(GMEM_SHARED);
	slot.memory = create_private();
	need(gmem_memory_create(vm, SIZE, &memfd, &slot.shared_memory), "the shared half");
	need(gmem_memory_map(slot.shared_memory, 0, SIZE, PROT_READ | PROT_WRITE, &bytes),
		"mapping");
	slot.userspace_addr = (uintptr_t)bytes;
	need(gmem_slot_bind(vm, &slot), "binding");
}

static int convert_all(enum gmem_state to, uint64_t *ret_discarded)
{
	return gmem_convert(vm, to, 0, SIZE, 0, ret_discarded);
}

/* A call whose limit is short, and gmemd silent, may have done its part before. */
static void gives_up(int r, const char *what)
{
	if (r != -ECONNRESET)
		need(r, what);
}

static void go_on(void)
{
	ask_test("continue");
	gmem_set_reconnect_limit(gmem, LONG_LIMIT);
	need(ping(), "ping after gmemd was silent");
}

/* second */

static struct gmem_slot second_slot = {.memory_size = SIZE};

static void use_first_vm(void)
{
	struct gmem_slot slot = {.memory_size = SIZE};

	open_vm(GMEM_SHARED);
	slot.memory = create();
	for (unsigned i = 0; i < CALLS; i++) {
		need(gmem_slot_bind(vm, &slot), "binding");
		need(gmem_slot_unbind(vm, 0), "unbinding");
	}
	need(gmem_vm_close(vm), "closing the first VM");
	gmem_memory_free(slot.memory);
	gmem_vm_free(vm);
}

static void *bind_second(void *context)
{
	(void)context;
	need(gmem_slot_bind(vm, &second_slot), "binding, of which the answer was lost");
	return NULL;
}

/* There is something that gmemd hasn't read. */
static void await_request(void)
{
	int bytes = 0;

	while (ioctl(gmem_fd(gmem), SIOCOUTQ, &bytes) == 0 && bytes == 0)
		pause_ms(1);
}

static void second(void)
{
	pthread_t thread;

	use_first_vm();
	open_vm(GMEM_SHARED);
	second_slot.memory = create();
	stop();
	start(bind_second, &thread);
	await_request();
	shut();
	ask_test("continue");
	pthread_join(thread, NULL);
	await_no_calls();
	await("\"state\":\"bound\"");
}

/* close, opclose */

static void close_given_up(void)
{
	struct gmem_memory *memory;
	int r;

	open_vm(GMEM_SHARED);
	memory = create();
	gmem_set_reconnect_limit(gmem, SHORT_LIMIT);
	stop();
	check(gmem_memory_close(memory) == -ECONNRESET, "closing a memory gives up");
	go_on();
	create();
	need(ping(), "ping after another memory is created");
	r = gmem_memory_close(memory);
	if (!strstr(gmem_last_error(), "\"not_found\""))
		need(r, "closing the memory again");
	need(ping(), "ping after the memory is closed again");
	gmem_memory_free(memory);
}

static void closed_by_operator(void)
{
	struct gmem_memory *memory;
	char line[64];

	open_vm(GMEM_SHARED);
	memory = create();
	snprintf(line, sizeof line, "close %" PRIu64, gmem_memory_id(memory));
	ask_test(line);
	shut();
	need(ping(), "ping after the connection broke");
	gmem_memory_free(memory);
}

/* full */

static void full(void)
{
	open_halves();
	for (unsigned i = 0; i < FULL; i++)
		need(gmem_convert(vm, GMEM_PRIVATE, 2 * i * PAGE, PAGE, 0, NULL), "converting");
	check(gmem_convert(vm, GMEM_PRIVATE, 2 * FULL * PAGE, PAGE, 0, NULL) == -EREMOTEIO,
		"there can be no more private ranges");
	lose();
	need(ping(), "ping after gmemd is lost");
	shut();
	need(ping(), "ping after the connection broke");
}

/* amid, amid_lost */

static void *convert_each_second(void *context)
{
	const struct gmem_range *ranges = context;

	need(gmem_convertv(vm, GMEM_PRIVATE, ranges, MANY, 0, NULL), "converting");
	return NULL;
}

/* Once the first of them is private. */
static void shut_amid_conversion(struct gmem_range *ranges)
{
	pthread_t thread;

	for (unsigned i = 0; i < MANY; i++)
		ranges[i] = (struct gmem_range){2 * i * PAGE, PAGE};
	check(pthread_create(&thread, NULL, convert_each_second, ranges) == 0, "a thread starts");
	while (frames[0] != '1')
		usleep(100);
	shut();
	need(ping(), "ping amid a conversion");
	pthread_join(thread, NULL);
}

static void amid(void)
{
	struct gmem_range ranges[MANY];

	open_halves();
	shut_amid_conversion(ranges);
	await_no_calls();
	await_private(ranges, MANY);
}

static void amid_lost(void)
{
	struct gmem_range ranges[MANY];

	open_halves();
	lose();
	need(ping(), "ping after gmemd is lost");
	shut_amid_conversion(ranges);
	await_no_calls();
	await_private(ranges, MANY);
}

/* keep */

static void *break_often(void *context)
{
	unsigned seed = 1;

	(void)context;
	while (!atomic_load(&stops)) {
		shut();
		ping();
		usleep(1000 + (unsigned)rand_r(&seed) % 5000);
	}
	return NULL;
}

static void keep_once(const struct gmem_range *ranges, enum gmem_state to, unsigned number)
{
	char wanted = to == GMEM_PRIVATE ? '1' : '0';

	need(gmem_convertv(vm, to, ranges, RANGES, GMEM_CONVERT_KEEP, NULL), "converting");
	for (unsigned i = 0; i < RANGES; i++) {
		char is = frames[2 * i];

		if (is == wanted)
			continue;
		printf("frame %u is %c after conversion %u, not %c\n", 2 * i, is, number, wanted);
		exit(EXIT_FAILURE);
	}
}

/* In the end they are private. */
static void keep(void)
{
	struct gmem_range ranges[RANGES];
	pthread_t thread;

	for (unsigned i = 0; i < RANGES; i++)
		ranges[i] = (struct gmem_range){2 * i * PAGE, PAGE};
	open_halves();
	lose();
	need(ping(), "ping after gmemd is lost");
	start(break_often, &thread);
	for (unsigned i = 0; i < CONVERSIONS; i++)
		keep_once(ranges, i % 2 ? GMEM_PRIVATE : GMEM_SHARED, i);
	atomic_store(&stops, true);
	pthread_join(thread, NULL);
	await_no_calls();
	await_private(ranges, RANGES);
}

/* freed, freed_lost */

static void bind_and_free(void)
{
	struct gmem_slot slot = {.memory_size = SIZE};

	open_vm(GMEM_SHARED);
	slot.memory = create();
	need(gmem_slot_bind(vm, &slot), "binding");
	gmem_memory_free(slot.memory);
}

static void freed(void)
{
	bind_and_free();
	shut();
	need(ping(), "ping after the connection broke");
	need(ping(), "another ping");
}

static void freed_lost(void)
{
	bind_and_free();
	lose();
	need(ping(), "ping after gmemd is lost");
	need(ping(), "another ping");
}

/* late, resurrected */

static void lose_and_dispatch(void)
{
	lose();
	gmem_dispatch(gmem);
}

static void late(void)
{
	at(KVM_CREATE_VM, lose_and_dispatch);
	open_vm(GMEM_SHARED);
	create();
}

static void resurrected(void)
{
	struct gmem_memory *memory;

	open_vm(GMEM_SHARED);
	memory = create();
	need(gmem_vm_close(vm), "closing the VM");
	lose_and_dispatch();
	check(ask_test("vms") == 0, "the VM stays closed");
	gmem_memory_free(memory);
	gmem_vm_free(vm);
	open_vm(GMEM_SHARED);
}

/* slow_bind */

static void *continue_later(void *context)
{
	(void)context;
	pause_ms(SILENCE);
	ask_test("continue");
	return NULL;
}

static void slow_bind(void)
{
	struct gmem_slot slot = {.memory_size = SIZE};
	pthread_t thread;

	open_vm(GMEM_PRIVATE);
	slot.memory = create_private();
	stop();
	at(KVM_SET_USER_MEMORY_REGION2, lose);
	start(continue_later, &thread);
	need(gmem_slot_bind(vm, &slot), "binding");
	pthread_join(thread, NULL);
	check(frames[0] == '1', "what is bound is private");
}

/* create, discarded, dropped */

static void create_given_up(void)
{
	struct gmem_memory *memory;

	open_vm(GMEM_SHARED);
	gmem_set_reconnect_limit(gmem, SHORT_LIMIT);
	at(KVM_CREATE_GUEST_MEMFD, stop);
	gives_up(gmem_memory_create(vm, SIZE, NULL, &memory), "creating while gmemd is silent");
	go_on();
	create();
	await_no_calls();
}

static void convert_again(void)
{
	go_on();
	await_no_calls();
	need(convert_all(GMEM_PRIVATE, NULL), "converting again");
	check(frames[0] == '1' && frames[PAGES - 1] == '1', "all is private");
	need(convert_all(GMEM_SHARED, NULL), "converting back");
	check(frames[0] == '0' && frames[PAGES - 1] == '0', "all is shared");
	await_no_calls();
}

static void stop_and_shut(void)
{
	stop();
	shut();
}

static void discarded(void)
{
	struct gmem_slot slot = {.memory_size = SIZE};
	uint64_t bytes;

	open_vm(GMEM_SHARED);
	slot.memory = create_private();
	need(gmem_slot_bind(vm, &slot), "binding");
	need(ping(), "ping");
	gmem_set_reconnect_limit(gmem, SHORT_LIMIT);
	at(KVM_SET_MEMORY_ATTRIBUTES, stop_and_shut);
	gives_up(convert_all(GMEM_PRIVATE, &bytes), "converting while gmemd is silent");
	convert_again();
}

static pthread_t crowd[CROWD];

static void *ping_often(void *context)
{
	(void)context;
	while (!atomic_load(&stops))
		ping();
	return NULL;
}

/* They wait by then for an answer, or for each other. */
static void stop_amid_crowd(void)
{
	stop();
	for (unsigned i = 0; i < CROWD; i++)
		start(ping_often, &crowd[i]);
	await_request();
	pause_ms(50);
}

static void dropped(void)
{
	open_halves();
	need(ping(), "ping");
	gmem_set_reconnect_limit(gmem, SHORT_LIMIT);
	at(KVM_SET_MEMORY_ATTRIBUTES, stop_amid_crowd);
	gives_up(convert_all(GMEM_PRIVATE, NULL), "converting while gmemd is silent");
	atomic_store(&stops, true);
	for (unsigned i = 0; i < CROWD; i++)
		pthread_join(crowd[i], NULL);
	convert_again();
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{"second", second},
	{"close", close_given_up},
	{"opclose", closed_by_operator},
	{"full", full},
	{"amid", amid},
	{"amid_lost", amid_lost},
	{"keep", keep},
	{"freed", freed},
	{"freed_lost", freed_lost},
	{"late", late},
	{"resurrected", resurrected},
	{"slow_bind", slow_bind},
	{"create", create_given_up},
	{"discarded", discarded},
	{"dropped", dropped},
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	map_frames();
	need(gmem_connect(argv[1], &gmem), "connecting");
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		if (strcmp(scenarios[i].name, argv[2]) != 0)
			continue;
		scenarios[i].run();
		printf("done\n");
		return EXIT_SUCCESS;
	}
	printf("no scenario has that name\n");
	return 2;
}
