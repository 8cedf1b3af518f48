/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VMM that knows nothing of gmemd and does what QEMU doesn't, for test_shim_vmm.py; and what is
 * measured of it, for bench_shim.py.
 *
 *   shim_vmm PART     does it, and says what came of it as "name value"; after "look" it waits
 *                     for a line
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB         (1ull << 20)
#define HIGH        (4ull << 30)
#define ROUNDS      100
#define GUEST_BYTES 0x1000
#define EXITS       200000

static void say(const char *name, uint64_t value)
{
	printf("%s %" PRIu64 "\n", name, value);
	fflush(stdout);
}

static void look(void)
{
	int character;

	say("look", 1);
	do
		character = getchar();
	while (character != '\n' && character != EOF);
}

static int opened(int fd, const char *what)
{
	if (fd >= 0)
		return fd;
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int create_vm(void)
{
	int kvm = opened(openat(AT_FDCWD, "/dev/kvm", O_RDWR), "/dev/kvm");

	say("closed_on_exec", fcntl(kvm, F_GETFD) & FD_CLOEXEC);
	return opened((int)syscall(SYS_ioctl, kvm, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM");
}

static char *map(uint64_t size)
{
	void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mapped == MAP_FAILED)
		exit(1);
	return mapped;
}

/* 0, or its errno. */
static int set_slot(int vm, uint32_t slot, uint64_t address, uint64_t size, const char *memory)
{
	const struct kvm_userspace_memory_region region = {.slot = slot,
		.guest_phys_addr = address,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? errno : 0;
}

/* Adds one to the word at 0x8000 and halts. */
static const uint8_t counting[] = {0xff, 0x06, 0x00, 0x80, 0xf4};
/* Writes to a port, without end. */
static const uint8_t writing[] = {0xe6, 0xe9, 0xeb, 0xfc};

static int make_vcpu(int vm, char *memory, const uint8_t *guest, size_t size)
{
	int vcpu = opened(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	struct kvm_sregs segments;
	struct kvm_regs registers = {.rip = GUEST_BYTES, .rflags = 2};

	memcpy(memory + GUEST_BYTES, guest, size);
	ioctl(vcpu, KVM_GET_SREGS, &segments);
	segments.cs.base = segments.cs.selector = 0;
	segments.ds.base = segments.ds.selector = 0;
	ioctl(vcpu, KVM_SET_SREGS, &segments);
	ioctl(vcpu, KVM_SET_REGS, &registers);
	return vcpu;
}

static void run_guest(int vm, char *memory)
{
	int vcpu = make_vcpu(vm, memory, counting, sizeof counting);

	say("run", (uint64_t)(ioctl(vcpu, KVM_RUN, 0) < 0 ? errno : 0));
	say("counted", (uint8_t)memory[0x8000]);
	close(vcpu);
}

static uint64_t ones(const char *memory, uint64_t size)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < size; i++)
		count += memory[i] == 1;
	return count;
}

/* One anonymous area with a hole, two slots, and a balloon. */
static void area_with_hole(void)
{
	int vm = create_vm();
	char *memory = map(96 * MIB);

	mprotect(memory + 32 * MIB, 32 * MIB, PROT_NONE);
	say("low", (uint64_t)set_slot(vm, 0, 0, 32 * MIB, memory));
	say("high", (uint64_t)set_slot(vm, 1, HIGH, 32 * MIB, memory + 64 * MIB));
	run_guest(vm, memory);
	memset(memory + 64 * MIB, 1, 16 * MIB);
	look();
	say("dropped", (uint64_t)madvise(memory + 68 * MIB, 8 * MIB, MADV_DONTNEED));
	look();
	say("ones", ones(memory + 64 * MIB, 16 * MIB));
}

/* Threads */

struct worker {
	int vm;
	uint32_t slot;
	char *memory;
	int failed; /* an errno */
};

static void *change_slots(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 0; i < ROUNDS && worker->failed == 0; i++) {
		worker->failed = set_slot(
			worker->vm, worker->slot, worker->slot * HIGH, MIB, worker->memory);
		if (worker->failed == 0)
			worker->failed = set_slot(worker->vm, worker->slot, 0, 0, NULL);
	}
	return NULL;
}

static void *use_memfds(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 0; i < ROUNDS && worker->failed == 0; i++) {
		int fd = (int)syscall(
			SYS_memfd_create, i % 2 ? "memory-backend-memfd" : "other", MFD_CLOEXEC);
		int copy = dup(fd);

		close(copy);
		if (fd < 0 || ftruncate(fd, 2 * (off_t)MIB) < 0)
			worker->failed = errno;
		close(fd);
	}
	return NULL;
}

static void threads(void)
{
	struct worker workers[4] = {{.slot = 1}, {.slot = 2}, {.slot = 0}, {.slot = 0}};
	int vm = create_vm();
	char *memory = map(16 * MIB);
	pthread_t ids[4];

	for (unsigned i = 0; i < 4; i++) {
		workers[i].vm = vm;
		workers[i].memory = memory + i * 4 * MIB;
		pthread_create(&ids[i], NULL, i < 2 ? change_slots : use_memfds, &workers[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(ids[i], NULL);
		say("failed", (uint64_t)workers[i].failed);
	}
	look();
}

static int try_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	int error = vm < 0 ? errno : 0;

	close(kvm);
	close(vm);
	return error;
}

/* The rest of its child's. */
static void be_child(int vm, const char *memory)
{
	say("device_in_child", open("/dev/kvm", O_RDWR) < 0 ? (uint64_t)errno : 0);
	say("slot_in_child", (uint64_t)set_slot(vm, 0, 0, MIB, memory));
	execl("/bin/sh", "sh", "-c",
		"echo preload $LD_PRELOAD; env | grep -c GMEM; ls -l /proc/self/fd", NULL);
}

/* Many slots */

#define MANY       40
#define MANY_BYTES 0x4000
#define MANY_START 0x10000

/* Without end: adds one to a word of each of the slots, and writes to a port. */
static const uint8_t visiting[] = {
	0xbb, MANY_START >> 4 & 0xff, MANY_START >> 12,       /* mov bx, the first's segment */
	0x8e, 0xc3,                                           /* mov es, bx */
	0x26, 0xff, 0x06, 0x00, 0x00,                         /* inc word [es:0] */
	0x81, 0xc3, MANY_BYTES >> 4 & 0xff, MANY_BYTES >> 12, /* add bx, a slot's */
	0x81, 0xfb, (MANY_START + MANY * MANY_BYTES) >> 4 & 0xff,
	(MANY_START + MANY * MANY_BYTES) >> 12, /* cmp bx, the end's */
	0x75, 0xef,                             /* jne to the second */
	0xe6, 0xe9,                             /* out 0xe9, al */
	0xeb, 0xe8,                             /* jmp to the first */
};

struct visitor {
	int vcpu;
	const struct kvm_run *run;
	_Atomic bool over;
	_Atomic uint64_t passes, others; /* exits for that port, and for another reason */
};

static void *visit(void *context)
{
	struct visitor *visitor = context;

	while (!visitor->over) {
		if (ioctl(visitor->vcpu, KVM_RUN, 0) < 0)
			visitor->others += errno != EINTR;
		else if (visitor->run->exit_reason == KVM_EXIT_IO)
			visitor->passes++;
		else
			visitor->others++;
	}
	return NULL;
}

static int set_many(int vm, char *memory, uint32_t flags)
{
	int failed = 0;

	for (uint32_t i = 0; i < MANY && failed == 0; i++) {
		const uint64_t address = MANY_START + (uint64_t)i * MANY_BYTES;
		const struct kvm_userspace_memory_region region = {.slot = 1 + i,
			.flags = flags,
			.guest_phys_addr = address,
			.memory_size = MANY_BYTES,
			.userspace_addr = (uintptr_t)memory + address};

		failed = ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? errno : 0;
	}
	return failed;
}

/* The writes to all of them are logged, and not any more, while the guest goes through them. */
static void many_slots(void)
{
	struct visitor visitor = {.over = false};
	int vm = create_vm(), kvm = opened(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	char *memory = map(2 * MIB);
	pthread_t thread;

	say("set", (uint64_t)set_slot(vm, 0, 0, MANY_START, memory));
	say("set", (uint64_t)set_many(vm, memory, 0));
	visitor.vcpu = make_vcpu(vm, memory, visiting, sizeof visiting);
	visitor.run = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, visitor.vcpu, 0);
	pthread_create(&thread, NULL, visit, &visitor);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t before = visitor.passes;

		say("set", (uint64_t)set_many(vm, memory, i % 2 ? 0 : KVM_MEM_LOG_DIRTY_PAGES));
		while (visitor.passes < before + 3 && visitor.others == 0)
			usleep(1000);
		look();
	}
	visitor.over = true;
	pthread_join(thread, NULL);
	say("others", visitor.others);
}

/* What it was given, put elsewhere and closed; children. */
static void misuse(void)
{
	int vm = create_vm(), copy = opened(dup(vm), "dup");
	int null = opened(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	char *memory = map(2 * MIB);
	pid_t child;

	say("duplicate", (uint64_t)set_slot(copy, 0, 0, MIB, memory));
	dup2(null, vm);
	say("another_file", (uint64_t)set_slot(vm, 1, HIGH, MIB, memory));
	say("second", (uint64_t)try_vm());
	close(copy);
	vm = create_vm();
	say("again", (uint64_t)set_slot(vm, 0, 0, 0, NULL));
	child = fork();
	if (child == 0)
		be_child(vm, memory);
	waitpid(child, NULL, 0);
}

/* Its own are those that it knows of. */
static void close_all_but(int vm)
{
	say("range", (uint64_t)close_range(3, (unsigned)vm - 1, 0));
	say("rest", (uint64_t)close_range((unsigned)vm + 1, ~0u, 0));
	for (int fd = 3; fd < 1024; fd++) {
		if (fd != vm)
			close(fd);
	}
}

/* A VMM that closes whatever it has not opened, and so does a program that it starts. */
static void closing(void)
{
	int vm = create_vm(), moved = fcntl(vm, F_DUPFD_CLOEXEC, 200);
	char *memory = map(4 * MIB);
	pid_t child;

	close(vm);
	vm = moved;
	say("before", (uint64_t)set_slot(vm, 0, 0, 2 * MIB, memory));
	close_all_but(vm);
	memory = map(4 * MIB);
	say("after", (uint64_t)set_slot(vm, 1, HIGH, 2 * MIB, memory));
	say("unbound", (uint64_t)set_slot(vm, 1, HIGH, 0, memory));
	look();
	for (int fd = 3; fd < 1024; fd++) {
		if (fd != vm && dup2(vm, fd) == fd)
			close(fd);
	}
	say("again", (uint64_t)set_slot(vm, 1, HIGH, 2 * MIB, memory));
	child = fork();
	if (child == 0) {
		closefrom(3);
		execl("/bin/ls", "ls", "/proc/self/fd", NULL);
	}
	waitpid(child, NULL, 0);
	closefrom(3);
	say("closed", (uint64_t)set_slot(vm, 2, 2 * HIGH, 2 * MIB, memory));
}

static void written_before(void)
{
	int vm = create_vm();
	char *memory = map(4 * MIB);

	memory[MIB] = 1;
	say("written", (uint64_t)set_slot(vm, 0, 0, 2 * MIB, memory));
	say("kept", (uint8_t)memory[MIB]);
	memory = map(4 * MIB);
	memset(memory, 0, 4 * MIB);
	say("zeroed", (uint64_t)set_slot(vm, 1, HIGH, 4 * MIB, memory));
	look();
}

/* For a benchmark */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What a slot's flags are is said of it again. */
static int set_flags(int vm, char *memory, uint32_t flags)
{
	const struct kvm_userspace_memory_region region = {
		.flags = flags, .memory_size = 16 * MIB, .userspace_addr = (uintptr_t)memory};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? errno : 0;
}

/* The processor time of a number of exits. */
static void exits(void)
{
	int vm = create_vm(), vcpu;
	char *memory = map(16 * MIB);
	uint64_t began;

	say("slot", (uint64_t)set_flags(vm, memory, 0));
	vcpu = make_vcpu(vm, memory, writing, sizeof writing);
	for (unsigned i = 0; i < EXITS / 10; i++)
		ioctl(vcpu, KVM_RUN, 0);
	began = now_ns(CLOCK_THREAD_CPUTIME_ID);
	for (unsigned i = 0; i < EXITS; i++)
		ioctl(vcpu, KVM_RUN, 0);
	say("nanoseconds", (now_ns(CLOCK_THREAD_CPUTIME_ID) - began) / EXITS);
}

struct runner {
	int vcpu;
	_Atomic bool over;
	_Atomic uint64_t longest; /* nanoseconds from one exit to the next, since it was 0 */
};

static void *run_on(void *context)
{
	struct runner *runner = context;
	uint64_t before = now_ns(CLOCK_MONOTONIC);

	while (!runner->over) {
		uint64_t now;

		ioctl(runner->vcpu, KVM_RUN, 0);
		now = now_ns(CLOCK_MONOTONIC);
		if (now - before > runner->longest)
			runner->longest = now - before;
		before = now;
	}
	return NULL;
}

/* How long each change of a slot's flags takes, and how long the guest does not run meanwhile. */
static void exchanges(void)
{
	struct runner runner = {.longest = 0};
	int vm = create_vm();
	char *memory = map(16 * MIB);
	pthread_t thread;

	say("slot", (uint64_t)set_flags(vm, memory, 0));
	runner.vcpu = make_vcpu(vm, memory, writing, sizeof writing);
	pthread_create(&thread, NULL, run_on, &runner);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t began = now_ns(CLOCK_MONOTONIC);

		runner.longest = 0;
		if (set_flags(vm, memory, i % 2 ? 0 : KVM_MEM_LOG_DIRTY_PAGES) != 0)
			say("failed", i);
		say("changed", now_ns(CLOCK_MONOTONIC) - began);
		usleep(2000);
		say("gap", runner.longest);
	}
	runner.over = true;
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {{"hole", area_with_hole}, {"threads", threads}, {"misuse", misuse},
		{"many", many_slots}, {"closing", closing}, {"written", written_before},
		{"exits", exits}, {"exchanges", exchanges}};

	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (argc == 2 && strcmp(argv[1], parts[i].name) == 0) {
			parts[i].run();
			return 0;
		}
	}
	return 2;
}
