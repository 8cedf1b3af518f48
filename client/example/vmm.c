/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmem-example-vmm: the smallest VMM on libgmem, to read and to try gmemd with.
 *
 * Makes one guest_memfd, binds several slots from it, runs one vCPU in real mode that fills and
 * sums its memory, and compares what the guest says with what it reads through its own mapping.
 * Where gmemd asks for memory, the guest is told to do with less, and the rest is given back.
 * Where gmemd's back end is the model, no guest runs; with a type of VM that has private memory,
 * conversion is shown instead.
 * Needs no access to /dev/kvm.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/example/conversion.h"
#include "client/example/exit_name.h"
#include "client/example/guest.h"
#include "client/gmem.h"

/*
 * Where the guest sees its memory, and from where in the file: slots need not follow each other in
 * either.
 */
static const struct {
	uint64_t guest_phys_addr, size, offset;
	bool filled; /* by the guest; else it holds its code and its table */
} layout[] = {
	{0x00000, 0x04000, 0x00000, false},
	{0x20000, 0x10000, 0x14000, true},
	{0x40000, 0x10000, 0x04000, true},
	{0x80000, 0x08000, 0x24000, true},
};
#define SLOTS       (sizeof layout / sizeof *layout)
#define MEMORY_SIZE 0x2c000
#define PAGE        0x1000

/* Where the VMM stops itself with SIGSTOP if asked to, so that one can look at it with gmemctl. */
enum stage {
	STAGE_CONNECTED,
	STAGE_OPENED,
	STAGE_CREATED,
	STAGE_BOUND,
	STAGE_CONVERTED,
	STAGE_RUN,
	STAGE_UNBOUND,
	STAGES
};
static const char *const stage_names[STAGES] = {
	"connected", "opened", "created", "bound", "converted", "run", "unbound"};

struct settings {
	const char *socket;
	struct gmem_vm_options vm;
	bool pauses[STAGES];
	uint64_t rounds;   /* how often the guest is run; 0: until a signal ends it */
	uint64_t interval; /* milliseconds between */
};

struct example {
	const struct settings *settings;
	struct gmem *gmem;
	struct gmem_vm *vm;
	struct gmem_memory *memory;
	unsigned char *bytes; /* the whole memory, by its offsets */
	int vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint64_t in_balloon; /* bytes at the end of memory that the guest does without */
};

/* Of the library: it says why. */
static int call_failed(const char *what, int r)
{
	fprintf(stderr, "gmem-example-vmm: %s: %s%s\n", what,
		r == -EREMOTEIO ? "gmemd refused: " : "", gmem_last_message());
	return r;
}

static int failed_system(const char *what, int r)
{
	fprintf(stderr, "gmem-example-vmm: %s: %s\n", what, strerror(-r));
	return r;
}

static void reach(const struct settings *settings, enum stage stage)
{
	if (!settings->pauses[stage])
		return;
	printf("vmm: stopped at \"%s\"; SIGCONT goes on\n", stage_names[stage]);
	raise(SIGSTOP);
}

static int open_vm(struct example *example)
{
	const struct settings *settings = example->settings;
	int r;

	r = gmem_connect(settings->socket, &example->gmem);
	if (r < 0)
		return call_failed("connecting to gmemd", r);
	reach(settings, STAGE_CONNECTED);
	r = gmem_vm_open(example->gmem, &settings->vm, &example->vm);
	if (r < 0)
		return call_failed("opening the VM", r);
	printf("vmm: %s is open; /dev/kvm is %s\n", gmem_vm_id(example->vm),
		access("/dev/kvm", R_OK | W_OK) == 0 ? "open to me anyway" : "closed to me");
	reach(settings, STAGE_OPENED);
	return 0;
}

static int create_memory(struct example *example)
{
	const struct gmem_memory_options options = {
		.name = "ram", .flags = GMEM_MEMORY_DEFAULT_FLAGS};
	void *bytes;
	int r;

	r = gmem_memory_create(example->vm, MEMORY_SIZE, &options, &example->memory);
	if (r < 0)
		return call_failed("creating memory", r);
	r = gmem_memory_map(example->memory, 0, MEMORY_SIZE, PROT_READ | PROT_WRITE, &bytes);
	if (r < 0)
		return call_failed("mapping memory", r);
	example->bytes = bytes;
	printf("vmm: memory %" PRIu64 " has %d KiB\n", gmem_memory_id(example->memory),
		MEMORY_SIZE / 1024);
	reach(example->settings, STAGE_CREATED);
	return 0;
}

static int bind_slots(struct example *example)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct gmem_slot slot = {
			.slot = i,
			.guest_phys_addr = layout[i].guest_phys_addr,
			.memory_size = layout[i].size,
			.userspace_addr = (uintptr_t)example->bytes + layout[i].offset,
			.memory = example->memory,
			.guest_memfd_offset = layout[i].offset,
		};
		int r = gmem_slot_bind(example->vm, &slot);

		if (r < 0)
			return call_failed("binding a slot", r);
		printf("vmm: slot %u shows the guest %3" PRIu64 " KiB at 0x%05" PRIx64
		       " from offset 0x%05" PRIx64 "\n",
			i, slot.memory_size / 1024, slot.guest_phys_addr, slot.guest_memfd_offset);
	}
	reach(example->settings, STAGE_BOUND);
	return 0;
}

static struct guest_table *guest_table(const struct example *example)
{
	return (struct guest_table *)(example->bytes + GUEST_TABLE_ADDRESS);
}

static void load_guest(struct example *example)
{
	struct guest_table *table = guest_table(example);

	memset(table, 0, sizeof *table);
	for (size_t i = 0; i < SLOTS; i++) {
		if (!layout[i].filled)
			continue;
		table->ranges[table->n_ranges].segment = (uint16_t)(layout[i].guest_phys_addr / 16);
		table->ranges[table->n_ranges].words = (uint16_t)(layout[i].size / 2);
		table->n_ranges++;
	}
	memcpy(example->bytes + GUEST_CODE_ADDRESS, example_guest,
		(size_t)(example_guest_end - example_guest));
}

/*
 * The balloon: the pages at the end of the last range, and of the file, which the guest is told to
 * leave alone when it is next run.
 */
#define BALLOON_SLOT (SLOTS - 1)
#define BALLOON_MAX  (layout[BALLOON_SLOT].size - PAGE) /* a range must have some words */

/* The guest is not running. */
static void resize_balloon(struct example *example, uint64_t bytes)
{
	struct guest_table *table = guest_table(example);

	example->in_balloon = bytes;
	table->ranges[table->n_ranges - 1].words =
		(uint16_t)((layout[BALLOON_SLOT].size - bytes) / 2);
}

static void inflate(struct example *example, uint64_t ask)
{
	uint64_t bytes =
		ask < BALLOON_MAX - example->in_balloon ? example->in_balloon + ask : BALLOON_MAX;
	uint64_t reclaimed = 0;
	int r;

	bytes = (bytes + PAGE - 1) / PAGE * PAGE;
	resize_balloon(example, bytes);
	r = gmem_memory_reclaim(example->memory, MEMORY_SIZE - bytes, bytes, &reclaimed);
	if (r < 0)
		call_failed("giving memory back", r);
	printf("vmm: gmemd asks for %" PRIu64 " KiB: gave %" PRIu64 " KiB back, %" PRIu64
	       " KiB are in the balloon\n",
		ask / 1024, reclaimed / 1024, bytes / 1024);
}

/* The guest has them anew when it touches them. */
static void deflate(struct example *example)
{
	resize_balloon(example, 0);
	puts("vmm: no pressure any more: the balloon is empty");
}

static void on_pressure(const struct gmem_pressure *pressure, void *context)
{
	struct example *example = context;

	if (pressure->ask > 0)
		inflate(example, pressure->ask);
	else if (pressure->level == GMEM_PRESSURE_NONE && example->in_balloon > 0)
		deflate(example);
}

/* A VM outlives gmemd: without one there is nothing to wait for but time. */
static void serve_events(struct example *example, int timeout_ms)
{
	struct pollfd event = {.fd = gmem_fd(example->gmem), .events = POLLIN};

	if (gmem_dispatch(example->gmem) < 0)
		event.fd = -1;
	poll(&event, 1, timeout_ms);
	if (event.revents)
		gmem_dispatch(example->gmem);
}

static int set_registers(struct example *example)
{
	struct kvm_regs registers = {.rip = GUEST_CODE_ADDRESS, .rflags = 2};
	struct kvm_sregs system;

	if (ioctl(example->vcpu, KVM_GET_SREGS, &system) < 0)
		return -errno;
	system.cs.base = 0;
	system.cs.selector = 0;
	if (ioctl(example->vcpu, KVM_SET_SREGS, &system) < 0)
		return -errno;
	return ioctl(example->vcpu, KVM_SET_REGS, &registers) < 0 ? -errno : 0;
}

static int make_vcpu(struct example *example)
{
	int size;

	example->vcpu = ioctl(gmem_vm_fd(example->vm), KVM_CREATE_VCPU, 0ul);
	if (example->vcpu < 0)
		return failed_system("KVM_CREATE_VCPU", -errno);
	size = ioctl(gmem_vm_kvm_fd(example->vm), KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		return failed_system("KVM_GET_VCPU_MMAP_SIZE", -errno);
	example->run_size = (size_t)size;
	example->run =
		mmap(NULL, example->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, example->vcpu, 0);
	if (example->run == MAP_FAILED) {
		example->run = NULL;
		return failed_system("mapping the vCPU", -errno);
	}
	return 0;
}

static void print_console(const struct kvm_run *run)
{
	const char *bytes = (const char *)run + run->io.data_offset;

	if (run->io.port == GUEST_CONSOLE_PORT && run->io.direction == KVM_EXIT_IO_OUT)
		fwrite(bytes, run->io.size, run->io.count, stdout);
}

/* Until the guest halts. */
static int run_guest(struct example *example)
{
	for (;;) {
		if (ioctl(example->vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
			return failed_system("KVM_RUN", -errno);
		if (example->run->exit_reason == KVM_EXIT_HLT)
			return 0;
		if (example->run->exit_reason != KVM_EXIT_IO) {
			fprintf(stderr, "gmem-example-vmm: the guest has left by %s\n",
				exit_name(example->run->exit_reason));
			return -EIO;
		}
		print_console(example->run);
	}
}

/* Of what the guest has filled: not of what is in the balloon, which a look would bring back. */
static uint16_t host_sum(const struct example *example)
{
	uint16_t sum = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		const uint16_t *words = (const uint16_t *)(example->bytes + layout[i].offset);
		uint64_t size = layout[i].size - (i == BALLOON_SLOT ? example->in_balloon : 0);

		for (size_t j = 0; layout[i].filled && j < size / 2; j++)
			sum = (uint16_t)(sum + words[j]);
	}
	return sum;
}

static int run_round(struct example *example)
{
	uint16_t guest, host;
	int r;

	r = set_registers(example);
	if (r < 0)
		return failed_system("setting registers", r);
	r = run_guest(example);
	if (r < 0)
		return r;
	guest = guest_table(example)->sum;
	host = host_sum(example);
	printf("vmm: the sum of what I see of it is %04x: %s\n", host,
		host == guest ? "the same" : "NOT THE SAME");
	return host == guest ? 0 : -EIO;
}

static int run_rounds(struct example *example)
{
	const struct settings *settings = example->settings;
	int r;

	r = make_vcpu(example);
	if (r < 0)
		return r;
	load_guest(example);
	r = gmem_vm_set_minimum(example->vm, MEMORY_SIZE - BALLOON_MAX);
	if (r < 0)
		return call_failed("telling what it needs", r);
	r = gmem_set_pressure_handler(example->gmem, on_pressure, example);
	if (r < 0)
		return call_failed("subscribing to events", r);
	for (uint64_t round = 0; settings->rounds == 0 || round < settings->rounds; round++) {
		if (round > 0)
			serve_events(example, (int)settings->interval);
		r = run_round(example);
		if (r < 0)
			return r;
	}
	reach(settings, STAGE_RUN);
	return 0;
}

static void reach_converted(void *context)
{
	reach(context, STAGE_CONVERTED);
}

/* What there is to do where no guest can run. */
static int do_without_guest(struct example *example)
{
	const struct settings *settings = example->settings;
	int r;

	puts("vmm: gmemd's back end is the model: no guest can run here");
	if (settings->vm.type && strcmp(settings->vm.type, GMEM_TYPE_DEFAULT) != 0) {
		r = example_convert(example->vm, reach_converted, (void *)settings);
		if (r < 0)
			return call_failed("showing what conversion does", r);
	}
	reach(settings, STAGE_RUN);
	return 0;
}

static int give_back(struct example *example)
{
	int r;

	for (uint32_t i = 0; i < SLOTS; i++) {
		r = gmem_slot_unbind(example->vm, i);
		if (r < 0)
			return call_failed("unbinding a slot", r);
	}
	reach(example->settings, STAGE_UNBOUND);
	munmap(example->bytes, MEMORY_SIZE);
	example->bytes = NULL;
	r = gmem_memory_close(example->memory);
	if (r < 0)
		return call_failed("closing memory", r);
	puts("vmm: all slots are unbound, the memory is given back");
	return 0;
}

static void tear_down(struct example *example)
{
	if (example->run)
		munmap(example->run, example->run_size);
	if (example->vcpu >= 0)
		close(example->vcpu);
	if (example->bytes)
		munmap(example->bytes, MEMORY_SIZE);
	gmem_memory_free(example->memory);
	gmem_vm_free(example->vm);
	gmem_free(example->gmem);
}

static int run_example(const struct settings *settings)
{
	struct example example = {.settings = settings, .vcpu = -1};
	int r;

	r = open_vm(&example);
	if (r == 0)
		r = create_memory(&example);
	if (r == 0)
		r = bind_slots(&example);
	if (r == 0)
		r = gmem_vm_fd(example.vm) < 0 ? do_without_guest(&example) : run_rounds(&example);
	if (r == 0)
		r = give_back(&example);
	tear_down(&example);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char usage[] =
	"Usage: gmem-example-vmm [--socket=PATH] [--name=NAME] [--gate=required|none]\n"
	"                        [--type=TYPE] [--rounds=N] [--interval=MILLISECONDS]\n"
	"                        [--pause-at=STAGE]...\n"
	"A VMM on libgmem: one vCPU that fills and sums its memory.\n"
	"\n"
	"  --socket=PATH    gmemd's socket; under gmem-run not needed\n"
	"  --name=NAME      the VM's name (example)\n"
	"  --gate=GATE      required, or none where gmemd's policy permits that\n"
	"  --type=TYPE      the VM's type; on gmemd's model, sw_protected has conversion shown\n"
	"  --rounds=N       how often the guest is run (1); 0: until a signal ends it\n"
	"  --interval=MS    milliseconds between rounds (1000)\n"
	"  --pause-at=STAGE stops itself there, to be looked at: connected, opened, created,\n"
	"                   bound, converted, run, unbound\n";

static bool set_stage(const char *name, struct settings *settings)
{
	for (int stage = 0; stage < STAGES; stage++) {
		if (strcmp(name, stage_names[stage]) == 0) {
			settings->pauses[stage] = true;
			return true;
		}
	}
	return false;
}

static bool set_number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || number > max)
		return false;
	*ret = number;
	return true;
}

static bool set_gate(const char *name, struct settings *settings)
{
	settings->vm.gate = strcmp(name, "none") == 0 ? GMEM_GATE_NONE : GMEM_GATE_REQUIRED;
	return settings->vm.gate == GMEM_GATE_NONE || strcmp(name, "required") == 0;
}

static bool set_option(struct settings *settings, int option)
{
	switch (option) {
	case 's':
		settings->socket = optarg;
		return true;
	case 'n':
		settings->vm.name = optarg;
		return true;
	case 't':
		settings->vm.type = optarg;
		return true;
	case 'g':
		return set_gate(optarg, settings);
	case 'r':
		return set_number(optarg, UINT32_MAX, &settings->rounds);
	case 'i':
		return set_number(optarg, INT_MAX, &settings->interval);
	case 'p':
		return set_stage(optarg, settings);
	default:
		return false;
	}
}

/*
 * What a VMM may have inherited is set right before it opens anything: a standard file that is
 * closed would become the connection to gmemd, or the guest's memory; signals that are blocked
 * would not end it, and a guest is not to end when nobody reads what its VMM prints.
 */
static bool set_up_process(void)
{
	sigset_t none;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return false;
	}
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"name", required_argument, NULL, 'n'},
		{"gate", required_argument, NULL, 'g'},
		{"type", required_argument, NULL, 't'},
		{"rounds", required_argument, NULL, 'r'},
		{"interval", required_argument, NULL, 'i'},
		{"pause-at", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct settings settings = {.vm = {.name = "example"}, .rounds = 1, .interval = 1000};
	int option;

	if (!set_up_process()) {
		perror("gmem-example-vmm: /dev/null");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		}
		if (!set_option(&settings, option)) {
			fputs("Try gmem-example-vmm --help.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "gmem-example-vmm: there is no argument \"%s\"\n", argv[optind]);
		return 2;
	}
	return run_example(&settings);
}
