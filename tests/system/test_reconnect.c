/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program on libgmem goes on while gmemd, or gmemd and its keeper, are killed under it.
 *
 * The VMM is a child, for its gate is for good.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/gmem.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "tests/lib/gmemd_process.h"
#include "tests/lib/unit.h"

#define SIZE  (64 * 4096ull)
#define OTHER (1ull << 32)
#define LARGE (1ull << 29)

/* How long the VMM waits, and the most that this may take on a busy machine. */
#define LIMIT_MS  1500
#define LATEST_MS 60000

static const char *program;
static struct gmemd_process gmemd;

/* gmemd dies at an ioctl of this process, which then waits at the gate for the next */

static unsigned long killed_at; /* 0: none */

static void kill_now(void)
{
	struct pollfd ended = {.fd = pidfd_open(gmemd.pid, 0), .events = POLLIN};

	kill(gmemd.pid, SIGKILL);
	poll(&ended, 1, LATEST_MS);
	close(ended.fd);
}

/* In the place of libc's, for libgmem as well. */
__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	uintptr_t argument;

	va_start(arguments, request);
	argument = va_arg(arguments, uintptr_t);
	va_end(arguments);
	if (killed_at == request) {
		killed_at = 0;
		kill_now();
	}
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

/* The VMM */

struct vmm {
	struct gmem *gmem;
	struct gmem_vm *vm;
	struct gmem_memory *memory, *shared;
	char *bytes;
};

static int bind_at(struct vmm *vmm, uint32_t number, uint64_t address, struct gmem_memory *memory)
{
	struct gmem_slot slot = {
		.slot = number, .guest_phys_addr = address, .memory_size = SIZE, .memory = memory};

	return gmem_slot_bind(vmm->vm, &slot);
}

static int set_up(struct vmm *vmm, enum gmem_gate gate)
{
	struct gmem_vm_options options = {.name = "vmm", .gate = gate};
	struct gmem_memory_options named = {.name = "ram", .flags = GMEM_MEMORY_DEFAULT_FLAGS};
	struct gmem_memory_options memfd = {.backing = GMEM_BACKING_MEMFD};
	void *mapped;
	int r;

	r = gmem_connect(gmemd.socket, &vmm->gmem);
	if (r == 0)
		r = gmem_vm_open(vmm->gmem, &options, &vmm->vm);
	if (r == 0)
		r = gmem_memory_create(vmm->vm, SIZE, &named, &vmm->memory);
	if (r == 0)
		r = gmem_memory_create(vmm->vm, SIZE, &memfd, &vmm->shared);
	if (r == 0)
		r = bind_at(vmm, 0, 0, vmm->memory);
	if (r == 0)
		r = gmem_memory_map(vmm->memory, 0, SIZE, PROT_READ | PROT_WRITE, &mapped);
	if (r < 0)
		return r;
	vmm->bytes = mapped;
	memcpy(vmm->bytes, "guest", 6);
	return 0;
}

/* Of a VM that is to be made while gmemd is away. */
static int open_without_gmemd(struct vmm *vmm)
{
	struct gmem_vm_options options = {.name = "late"};
	int r = gmem_connect(gmemd.socket, &vmm->gmem);

	if (r < 0)
		return r;
	gmem_set_reconnect_limit(vmm->gmem, LIMIT_MS);
	killed_at = KVM_CREATE_VM;
	return gmem_vm_open(vmm->gmem, &options, &vmm->vm);
}

static int create_without_gmemd(struct vmm *vmm)
{
	struct gmem_memory *memory;

	killed_at = KVM_CREATE_GUEST_MEMFD;
	return gmem_memory_create(vmm->vm, SIZE, NULL, &memory);
}

/* -EAGAIN while a creation waits to be reported. */
static int await_no_pending(struct vmm *vmm)
{
	char params[128], *view;
	int r;

	snprintf(params, sizeof params, "{\"vm\":\"%s\"}", gmem_vm_id(vmm->vm));
	r = gmem_call(vmm->gmem, "vm.get", params, &view);
	if (r < 0)
		return r;
	r = strstr(view, "\"pending\"") ? -EAGAIN : 0;
	free(view);
	return r;
}

static int create_and_close(struct vmm *vmm)
{
	struct gmem_memory *memory;
	int r = gmem_memory_create(vmm->vm, SIZE, NULL, &memory);

	if (r < 0)
		return r;
	r = bind_at(vmm, 1, OTHER, memory);
	if (r == 0)
		r = gmem_slot_unbind(vmm->vm, 1);
	if (r == 0)
		r = gmem_memory_close(memory);
	gmem_memory_free(memory);
	return r;
}

static int rebind(struct vmm *vmm)
{
	int r = gmem_slot_unbind(vmm->vm, 0);

	return r == 0 ? bind_at(vmm, 0, 0, vmm->memory) : r;
}

static void note_hold(void *context)
{
	unsigned *holds = context;

	++*holds;
}

/* From one kind of slot to the other, while nothing runs. */
static int exchange(struct vmm *vmm, const struct gmem_slot *slot)
{
	const struct gmem_slot_change changes[] = {{.unbind = 0}, {.bind = slot}};
	unsigned holds = 0;
	const struct gmem_slot_hold hold = {note_hold, note_hold, &holds};
	size_t done = 0;
	int r = gmem_slot_change(vmm->vm, changes, 2, &hold, &done);

	return r == 0 && (done != 2 || holds != 2) ? -EBADMSG : r;
}

/* To the mapping, whose writes are logged, and back. */
static int exchange_both_ways(struct vmm *vmm)
{
	struct gmem_slot slot = {.memory_size = SIZE,
		.memory = vmm->memory,
		.userspace_addr = (uintptr_t)vmm->bytes,
		.flags = GMEM_SLOT_THROUGH_MAPPING | GMEM_SLOT_LOG_DIRTY_PAGES};
	int r = exchange(vmm, &slot);

	slot.flags = GMEM_SLOT_THROUGH_MAPPING;
	if (r == 0)
		r = gmem_slot_bind(vmm->vm, &slot);
	slot.flags = 0;
	return r == 0 ? exchange(vmm, &slot) : r;
}

static int await_event(struct vmm *vmm)
{
	char *event;
	int r = gmem_next_event(vmm->gmem, /* timeout_ms= */ 100, &event);

	if (r == 0)
		free(event);
	return r;
}

/* All of a memory of its own, by one thread, until gmemd answers. */
static int preallocate(struct vmm *vmm)
{
	struct gmem_memory *memory;
	char params[128], *result;
	int r = gmem_memory_create(vmm->vm, LARGE, NULL, &memory);

	if (r < 0)
		return r;
	snprintf(params, sizeof params, "{\"memory\":%" PRIu64 ",\"threads\":1}",
		gmem_memory_id(memory));
	r = gmem_call(vmm->gmem, "memory.preallocate", params, &result);
	if (r == 0)
		free(result);
	gmem_memory_close(memory);
	gmem_memory_free(memory);
	return r;
}

/* What is asked of the VMM, by a letter. */
static int carry_out(struct vmm *vmm, char what)
{
	switch (what) {
	case 'g':
		return set_up(vmm, GMEM_GATE_REQUIRED);
	case 'n':
		return set_up(vmm, GMEM_GATE_NONE);
	case 'c':
		return create_and_close(vmm);
	case 'v':
		return open_without_gmemd(vmm);
	case 'k':
		return create_without_gmemd(vmm);
	case 'w':
		return await_no_pending(vmm);
	case 'b':
		return rebind(vmm);
	case 'x':
		return exchange_both_ways(vmm);
	case 's':
		return strcmp(vmm->bytes, "guest") == 0 ? 0 : -EBADMSG;
	case 'r':
		return strstr(gmem_last_error(), "unsupported") ? 0 : -EBADMSG;
	case 'd':
		return gmem_dispatch(vmm->gmem);
	case 'z':
		gmem_set_reconnect_limit(vmm->gmem, 0);
		return 0;
	case 'l':
		gmem_set_reconnect_limit(vmm->gmem, LIMIT_MS);
		return 0;
	case 'e':
		return await_event(vmm);
	case 'p':
		return preallocate(vmm);
	case '?':
		return strstr(gmem_last_message(), "no sign for") ? 0 : -EBADMSG;
	}
	return -EINVAL;
}

static void serve(int fd)
{
	struct vmm vmm = {.gmem = NULL};
	char what;
	int r;

	while (read(fd, &what, 1) == 1) {
		r = carry_out(&vmm, what);
		if (write(fd, &r, sizeof r) != sizeof r)
			break;
	}
	_exit(0);
}

/* The test */

struct child {
	pid_t pid;
	int fd;
};

static void child_start(struct child *child)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	child->pid = fork();
	if (child->pid == 0) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	child->fd = fds[0];
}

static void child_end(struct child *child)
{
	fd_close(child->fd);
	waitpid(child->pid, NULL, 0);
}

static void child_begin(const struct child *child, char what)
{
	CU_ASSERT_EQUAL_FATAL(write(child->fd, &what, 1), 1);
}

static int child_finish(const struct child *child)
{
	int r = -EPIPE;

	CU_ASSERT_EQUAL_FATAL(read(child->fd, &r, sizeof r), sizeof r);
	return r;
}

static int ask(const struct child *child, char what)
{
	child_begin(child, what);
	return child_finish(child);
}

static void test_restart(void)
{
	struct child child;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'g'), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL_FATAL(gmemd_process_restart(program, &gmemd, false), 0);
		CU_ASSERT_EQUAL(ask(&child, 'b'), 0);
		CU_ASSERT_EQUAL(ask(&child, 'x'), 0);
		CU_ASSERT_EQUAL(ask(&child, 'c'), 0);
		CU_ASSERT_EQUAL(ask(&child, 's'), 0);
	}
	child_end(&child);
}

/* Killed at any point of a call. */
static void test_restart_amid(void)
{
	struct child child;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'g'), 0);
	for (useconds_t i = 0; i < 30; i++) {
		child_begin(&child, "bcx"[i % 3]);
		usleep(i * 100);
		CU_ASSERT_EQUAL_FATAL(gmemd_process_restart(program, &gmemd, false), 0);
		CU_ASSERT_EQUAL(child_finish(&child), 0);
	}
	CU_ASSERT_EQUAL(ask(&child, 's'), 0);
	child_end(&child);
}

static void test_loss(void)
{
	struct child child;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'n'), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(gmemd_process_restart(program, &gmemd, true), 0);
		CU_ASSERT_EQUAL(ask(&child, 'b'), 0);
		CU_ASSERT_EQUAL(ask(&child, 'c'), 0);
		CU_ASSERT_EQUAL(ask(&child, 's'), 0);
	}
	child_end(&child);
}

/* Its gate has no listener any more. */
static void test_loss_of_gated(void)
{
	struct child child;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'g'), 0);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_restart(program, &gmemd, true), 0);
	CU_ASSERT_EQUAL(ask(&child, 'b'), 0);
	CU_ASSERT_EQUAL(ask(&child, 'x'), 0);
	CU_ASSERT_EQUAL(ask(&child, 'c'), -EREMOTEIO);
	CU_ASSERT_EQUAL(ask(&child, 'r'), 0);
	CU_ASSERT_EQUAL(ask(&child, 's'), 0);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_restart(program, &gmemd, false), 0);
	CU_ASSERT_EQUAL(ask(&child, 'b'), 0);
	child_end(&child);
}

static unsigned count_vms(void)
{
	char path[64], *list = NULL;
	struct gmem *gmem;
	unsigned n = 0;

	snprintf(path, sizeof path, "%s/admin.sock", gmemd.directory);
	CU_ASSERT_EQUAL_FATAL(gmem_connect(path, &gmem), 0);
	CU_ASSERT_EQUAL(gmem_call(gmem, "vm.list", NULL, &list), 0);
	for (const char *at = list; at && (at = strstr(at, "\"running\"")); at++)
		n++;
	free(list);
	gmem_free(gmem);
	return n;
}

/* It waits for events alone. */
static void test_loss_of_idle(void)
{
	struct child child;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'n'), 0);
	gmemd_process_kill_both(&gmemd);
	CU_ASSERT_EQUAL(ask(&child, 'd'), -ECONNRESET);
	CU_ASSERT_EQUAL(ask(&child, 'd'), -ECONNRESET);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_launch(program, &gmemd), 0);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_await(&gmemd), 0);
	CU_ASSERT_EQUAL(count_vms(), 0);
	CU_ASSERT_EQUAL(ask(&child, 'd'), 0);
	CU_ASSERT_EQUAL(count_vms(), 1);
	CU_ASSERT_EQUAL(ask(&child, 'b'), 0);
	child_end(&child);
}

static void test_limit(void)
{
	struct child child;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'g'), 0);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'z'), 0);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_restart(program, &gmemd, true), 0);
	CU_ASSERT_EQUAL(ask(&child, 'b'), -ECONNRESET);
	child_end(&child);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The keeper has the connections of a gmemd that was killed, and nobody starts another. */
static void test_limit_with_keeper(void)
{
	static const char calls[] = {'b', 'c', 'b'};
	struct child child;
	int64_t began;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'g'), 0);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'l'), 0);
	gmemd_process_kill(&gmemd);
	CU_ASSERT(gmemd_process_keeper(&gmemd) > 0);
	for (size_t i = 0; i < sizeof calls; i++) {
		began = now_ms();
		CU_ASSERT_EQUAL(ask(&child, calls[i]), -ECONNRESET);
		CU_ASSERT(now_ms() - began >= LIMIT_MS && now_ms() - began < LATEST_MS);
	}
	CU_ASSERT_EQUAL(ask(&child, '?'), 0);
	began = now_ms();
	CU_ASSERT_EQUAL(ask(&child, 'e'), -ETIMEDOUT);
	CU_ASSERT(now_ms() - began < LIMIT_MS + LATEST_MS);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_launch(program, &gmemd), 0);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_await(&gmemd), 0);
	CU_ASSERT_EQUAL(ask(&child, 'b'), 0);
	CU_ASSERT_EQUAL(ask(&child, 'c'), 0);
	CU_ASSERT_EQUAL(ask(&child, 's'), 0);
	child_end(&child);
}

/* What the VMM asks for waits at the gate for no longer than it wants to. */
static void expect_given_up(const struct child *child, char what)
{
	int64_t began = now_ms();

	CU_ASSERT_EQUAL(ask(child, what), -ECONNRESET);
	CU_ASSERT(now_ms() - began >= LIMIT_MS && now_ms() - began < LATEST_MS);
	CU_ASSERT_EQUAL(ask(child, '?'), 0);
	gmemd_process_kill(&gmemd);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_launch(program, &gmemd), 0);
	CU_ASSERT_EQUAL_FATAL(gmemd_process_await(&gmemd), 0);
}

static void test_limit_at_gate(void)
{
	int64_t began = now_ms();
	struct child child;
	int r;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'g'), 0);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'l'), 0);
	expect_given_up(&child, 'k');
	/* The next gmemd lets it through, and hears that it isn't wanted any more. */
	do {
		CU_ASSERT_EQUAL(ask(&child, 'c'), 0);
		r = ask(&child, 'w');
	} while (r == -EAGAIN && now_ms() - began < LATEST_MS);
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_EQUAL(ask(&child, 'b'), 0);
	CU_ASSERT_EQUAL(ask(&child, 's'), 0);
	child_end(&child);
}

static void test_limit_of_opening(void)
{
	struct child child;

	child_start(&child);
	expect_given_up(&child, 'v');
	child_end(&child);
}

/* The one process of gmemd's that allocates, once there is one; -1 where that has ended already. */
static pid_t find_allocator(const struct child *child)
{
	struct pollfd answered = {.fd = child->fd, .events = POLLIN};
	char path[64];
	int pid;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", gmemd.pid, gmemd.pid);
	while (poll(&answered, 1, 0) == 0) {
		FILE *file = fopen(path, "re");
		int n = file ? fscanf(file, "%d", &pid) : 0;

		if (file)
			fclose(file);
		if (n == 1)
			return pid;
	}
	return -1;
}

/* Of an answer that takes longer than the VMM waits for a sign: gmemd lives, and gives signs. */
static void test_long_call(void)
{
	struct child child;
	pid_t allocator;

	child_start(&child);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'g'), 0);
	CU_ASSERT_EQUAL_FATAL(ask(&child, 'l'), 0);
	do {
		child_begin(&child, 'p');
		allocator = find_allocator(&child);
		if (allocator > 0)
			kill(allocator, SIGSTOP);
		else
			CU_ASSERT_EQUAL_FATAL(child_finish(&child), 0);
	} while (allocator < 0);
	usleep(3 * LIMIT_MS * 1000);
	kill(allocator, SIGCONT);
	CU_ASSERT_EQUAL(child_finish(&child), 0);
	child_end(&child);
}

int main(int argc, char **argv)
{
	CU_TestInfo tests[] = {
		{"gmemd restarts", test_restart},
		{"gmemd restarts amid calls", test_restart_amid},
		{"gmemd and its keeper die", test_loss},
		{"gmemd and its keeper die under a gated VM", test_loss_of_gated},
		{"gmemd and its keeper die under an idle VM", test_loss_of_idle},
		{"no reconnecting where it is not wanted", test_limit},
		{"a limit while the keeper lives", test_limit_with_keeper},
		{"a limit at the gate, of a memory", test_limit_at_gate},
		{"a limit at the gate, of the VM", test_limit_of_opening},
		{"a call that takes longer than the limit", test_long_call},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "libgmem reconnects", .pTests = tests}, CU_SUITE_INFO_NULL};
	int status;

	if (argc != 2)
		return EXIT_FAILURE;
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		puts("1..0 # SKIP no /dev/kvm");
		return EXIT_SUCCESS;
	}
	program = argv[1];
	if (gmemd_process_start(program, "kvm", "[keeper]\nuse = yes\n", &gmemd) < 0)
		return EXIT_FAILURE;
	status = unit_main(suites);
	gmemd_process_end(&gmemd);
	return status;
}
