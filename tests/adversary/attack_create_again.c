/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_CREATE_VM that was let through and has failed, which it does with EINTR where a signal or
 * work of io_uring's is pending: the VMM may ask again, and must not come by a second VM so.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "protocol/json.h"
#include "tests/adversary/adversary.h"

#define TRIES   100
#define THREADS 8

/* What the driver makes once it has done what makes the first outcome unknown. */
#define UNKNOWN_FILE "outcome-is-unknown"

/* Signals to the calling thread, by a timer, which needs no processor to be free. */
#define STORM_NS 30000

static void ignore(int number)
{
	(void)number;
}

static timer_t start_storm(void)
{
	const struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
	const struct itimerspec interval = {{0, STORM_NS}, {0, STORM_NS}};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	timer_t timer = 0;

	event._sigev_un._tid = gettid();
	require(sigaction(SIGUSR1, &action, NULL) == 0 &&
			timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
			timer_settime(timer, 0, &interval, NULL) == 0,
		"a storm of signals");
	return timer;
}

/* Whether gmemd has let KVM_CREATE_VM through. */
static bool is_let_through(struct world *world)
{
	struct json_object *result;
	bool active;

	require(connection_request(world->gmem, "vm.get", vm_params(&world->vm), NULL, &result) ==
			0,
		"gmemd tells of the VM");
	active = strcmp(json_get_string(result, "gate"), "active") == 0;
	json_unref(result);
	return active;
}

/* Has it fail for a signal that is pending when it is let through. */
static void fail_once(struct world *world)
{
	for (unsigned i = 0; i < TRIES && !is_let_through(world); i++) {
		timer_t storm = start_storm();
		int fd = create_vm(world), number = errno;

		timer_delete(storm);
		errno = number;
		require(fd < 0 && number == EINTR, "KVM_CREATE_VM fails with EINTR");
	}
	require(is_let_through(world), "KVM_CREATE_VM was let through, and has failed");
}

static int try_another(const struct world *world)
{
	return ioctl(world->vm.opening.kvm_fd, KVM_CREATE_VM, (long)world->vm.opening.type);
}

static void try_second_vm(const struct world *world, const char *when)
{
	refused(EPERM, try_another(world), "a second VM %s", when);
}

static void *second_of_thread(void *context)
{
	try_second_vm(context, "of a thread's");
	return NULL;
}

/* What a thread of its own does. */
struct errand {
	void *(*run)(void *context);
	struct world *world;
	pid_t thread;
};

static void *do_errand(void *context)
{
	struct errand *errand = context;

	errand->thread = gettid();
	return errand->run(errand->world);
}

/* Until the thread has ended for others, too: pthread_join(3) returns a moment before. */
static void in_thread(void *(*run)(void *context), struct world *world)
{
	struct errand errand = {.run = run, .world = world};
	pthread_t thread;

	require(pthread_create(&thread, NULL, do_errand, &errand) == 0, "a thread");
	pthread_join(thread, NULL);
	while (tgkill(getpid(), errand.thread, 0) == 0)
		usleep(1000);
}

void attack_interrupted(struct world *world)
{
	world_map(world);
	fail_once(world);
	verdict(create_vm(world) >= 0, "control: what was interrupted can be tried again");
	try_second_vm(world, "after the second try");
	in_thread(second_of_thread, world);
	control(world);
}

/* While the one that was let through has not come back from it, as far as gmemd can tell. */
static void *before_it_is_back(void *context)
{
	refused(EPERM, try_another(context), "a VM of a thread's, with another's outcome open");
	return NULL;
}

void attack_other_thread(struct world *world)
{
	world_map(world);
	fail_once(world);
	for (unsigned i = 0; i < 3; i++)
		in_thread(before_it_is_back, world);
	verdict(create_vm(world) >= 0, "control: the thread itself can try again");
	in_thread(second_of_thread, world);
	control(world);
}

static void *fail_and_end(void *context)
{
	fail_once(context);
	return NULL;
}

void attack_ended_thread(struct world *world)
{
	world_map(world);
	in_thread(fail_and_end, world);
	verdict(create_vm(world) >= 0, "control: when the thread has ended another can try");
	try_second_vm(world, "after that");
	control(world);
}

/* All ask until one has it, every other interrupted; how many VMs there are. */
static atomic_int made, first_fd, started;
static pthread_barrier_t barrier;

static void *ask_at_once(void *context)
{
	const struct world *world = context;
	bool stormy = atomic_fetch_add(&started, 1) % 2;
	timer_t storm = stormy ? start_storm() : 0;
	int fd = -1;

	pthread_barrier_wait(&barrier);
	for (unsigned i = 0; i < TRIES && fd < 0 && atomic_load(&made) == 0; i++)
		fd = try_another(world);
	if (stormy)
		timer_delete(storm);
	if (fd >= 0) {
		atomic_fetch_add(&made, 1);
		atomic_store(&first_fd, fd);
	}
	return NULL;
}

void attack_at_once(struct world *world)
{
	pthread_t threads[THREADS];

	world_map(world);
	require(pthread_barrier_init(&barrier, NULL, THREADS) == 0, "a barrier");
	for (unsigned i = 0; i < THREADS; i++)
		require(pthread_create(&threads[i], NULL, ask_at_once, world) == 0, "a thread");
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	verdict(atomic_load(&made) <= 1, "%u threads that ask at once have %d VMs", THREADS,
		atomic_load(&made));
	if (atomic_load(&made) == 0)
		verdict(create_vm(world) >= 0, "control: and can have one");
	else
		world->vm.fd = atomic_load(&first_fd);
	try_second_vm(world, "after them");
	in_thread(second_of_thread, world);
	control(world);
}

/* The VM's fd is in the queue of a socket: the process's files don't show it. */
static void hide(int ends[2], int fd)
{
	char control[CMSG_SPACE(sizeof fd)] = "";
	struct iovec byte = {.iov_base = control, .iov_len = 1};
	struct msghdr message = {.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	require(sendmsg(ends[0], &message, 0) == 1, "the VM's fd is hidden");
	close(fd);
}

static int find_again(int ends[2])
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	int fd = -1;

	require(recvmsg(ends[1], &message, 0) == 1, "the VM's fd is found again");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

struct hiding {
	int ends[2];
	struct world *world;
};

/* In a thread that ends: its creation has an outcome, and shows nothing of it. */
static void *make_and_hide(void *context)
{
	struct hiding *hiding = context;
	int fd;

	fail_once(hiding->world);
	fd = create_vm(hiding->world);
	require(fd >= 0, "the VM is made");
	hide(hiding->ends, fd);
	return NULL;
}

void attack_hidden(struct world *world)
{
	struct hiding hiding = {.world = world};
	pthread_t thread;

	require(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, hiding.ends) == 0, "a socket");
	world_map(world);
	require(pthread_create(&thread, NULL, make_and_hide, &hiding) == 0, "a thread");
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 3; i++)
		try_second_vm(world, "while nothing shows the first");
	world->vm.fd = find_again(hiding.ends);
	control(world);
}

/* io_uring */

#define POLLS   256
#define POLL_NS 100000
#define SECONDS 60

/* A ring of this thread's that waits for each of the files. */
static int wait_by_uring(const int *files)
{
	struct io_uring_params params = {.flags = 0};
	int ring = (int)syscall(SYS_io_uring_setup, POLLS, &params);
	struct io_uring_sqe *entries;
	unsigned char *queue;

	if (ring < 0)
		return -errno;
	entries = mmap(NULL, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE,
		MAP_SHARED, ring, IORING_OFF_SQES);
	queue = mmap(NULL, params.sq_off.array + params.sq_entries * sizeof(uint32_t),
		PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	require(entries != MAP_FAILED && queue != MAP_FAILED, "a ring");
	for (uint32_t i = 0; i < POLLS; i++) {
		memset(&entries[i], 0, sizeof entries[i]);
		entries[i].opcode = IORING_OP_POLL_ADD;
		entries[i].fd = files[i];
		entries[i].poll32_events = POLLIN;
		((uint32_t *)(queue + params.sq_off.array))[i] = i;
	}
	__atomic_store_n((uint32_t *)(queue + params.sq_off.tail), POLLS, __ATOMIC_RELEASE);
	require(syscall(SYS_io_uring_enter, ring, POLLS, 0, 0, NULL, 0) == POLLS,
		"the ring waits for files");
	return 0;
}

/* One after the other is ready, by timers, so that work is pending whenever the call is let
 * through. */
static void start_timers(const int *files)
{
	for (long i = 0; i < POLLS; i++) {
		const struct itimerspec once = {.it_value.tv_nsec = (i + 1) * POLL_NS};

		require(timerfd_settime(files[i], 0, &once, NULL) == 0, "a timer");
	}
}

void attack_io_uring(struct world *world)
{
	time_t began = time(NULL);
	unsigned tries = 0;
	int files[POLLS], fd = -1, r;

	for (unsigned i = 0; i < POLLS; i++)
		files[i] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	r = wait_by_uring(files);
	if (r < 0) {
		skipped("there is no io_uring here", "io_uring work that is pending");
		return;
	}
	world_map(world);
	start_timers(files);
	for (; fd < 0 && time(NULL) - began < SECONDS; tries++) {
		fd = create_vm(world);
		require(fd >= 0 || errno == EINTR, "KVM_CREATE_VM fails with EINTR alone");
	}
	verdict(fd >= 0, "control: with io_uring work pending, the VM is made, by %u tries", tries);
	try_second_vm(world, "after that");
	control(world);
}

/* What the driver does makes the first outcome unknown. */
void attack_unknown(struct world *world)
{
	world_map(world);
	fail_once(world);
	meet_driver("ready", UNKNOWN_FILE);
	for (unsigned i = 0; i < 3; i++)
		refused(EPERM, try_another(world), "a VM where the first try's outcome is unknown");
	verdict(is_let_through(world), "gmemd says of the VM what it knows");
}
