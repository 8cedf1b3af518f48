/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running and holding vCPUs. See vcpus.h.
 */
#include "client/shim/vcpus.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/shim/real.h"
#include "client/shim/settings.h"
#include "kernel/base/uapi.h"

/* Until those that are still in KVM_RUN are sent the signal again. */
#define AGAIN_NS 500000

#define SPINS 1000

struct vcpu_thread {
	LIST_ENTRY(vcpu_thread) link;
	pid_t id;
	bool known;
	_Atomic uint32_t running;
};

static struct {
	pthread_mutex_t lock; /* of the list */
	LIST_HEAD(, vcpu_thread) threads;
	_Atomic uint32_t held;
	_Atomic uint32_t left; /* counts who has left KVM_RUN while they were held */
	int signal;            /* 0: none taken yet */
	pthread_key_t end_of_thread;
} vcpus = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __thread struct vcpu_thread own;

/* What is waited for here takes less than falling asleep and being woken, mostly: until a word is
 * not that value any more, or for some ten microseconds. */
static void spin_while(const _Atomic uint32_t *word, uint32_t value)
{
	for (unsigned i = 0; i < SPINS && *word == value; i++)
		__builtin_ia32_pause();
}

static int futex(_Atomic uint32_t *word, int operation, uint32_t value, long nanoseconds)
{
	const struct timespec time = {.tv_nsec = nanoseconds};

	return (int)real_calls()->syscall(SYS_futex, (uint32_t *)word, operation, value,
		nanoseconds > 0 ? &time : NULL, NULL, 0);
}

/* Threads */

static void forget_thread(void *thread)
{
	pthread_mutex_lock(&vcpus.lock);
	LIST_REMOVE((struct vcpu_thread *)thread, link);
	pthread_mutex_unlock(&vcpus.lock);
}

static void note_thread(void)
{
	sigset_t signal;

	sigemptyset(&signal);
	sigaddset(&signal, vcpus.signal);
	pthread_sigmask(SIG_UNBLOCK, &signal, NULL);
	own.id = (pid_t)real_calls()->syscall(SYS_gettid);
	own.known = true;
	pthread_setspecific(vcpus.end_of_thread, &own);
	pthread_mutex_lock(&vcpus.lock);
	LIST_INSERT_HEAD(&vcpus.threads, &own, link);
	pthread_mutex_unlock(&vcpus.lock);
}

bool vcpus_have_this_thread(void)
{
	return own.known;
}

/* Running */

/* Whether they are held: what was noted before is seen by who holds them, who has each processor
 * finish its stores, so that a vCPU's thread need not. */
static bool note_running(uint32_t running)
{
	atomic_store_explicit(&own.running, running, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	return atomic_load_explicit(&vcpus.held, memory_order_acquire) != 0;
}

static void leave(void)
{
	if (!note_running(0))
		return;
	vcpus.left++;
	futex(&vcpus.left, FUTEX_WAKE_PRIVATE, INT_MAX, 0);
}

/* -EINTR: the VMM has sent it a signal of its own meanwhile. */
static int enter(void)
{
	while (note_running(1)) {
		leave();
		spin_while(&vcpus.held, 1);
		if (vcpus.held != 0 && futex(&vcpus.held, FUTEX_WAIT_PRIVATE, 1, 0) < 0 &&
			errno == EINTR)
			return -EINTR;
	}
	return 0;
}

int vcpus_run(int fd, void *argument)
{
	int r;

	if (!own.known && vcpus.signal != 0)
		note_thread();
	r = enter();
	if (r < 0)
		return r;
	r = real_calls()->ioctl(fd, KVM_RUN, argument) < 0 ? -errno : 0;
	leave();
	return r;
}

/* Holding */

static void interrupt(int signal)
{
	(void)signal;
}

static bool is_free(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
	       action.sa_handler == SIG_DFL;
}

static int register_for_barriers(void)
{
	return real_calls()->syscall(
		       SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0
		       ? -errno
		       : 0;
}

/* Beforehand: in a process of several threads the kernel waits for a grace period of RCU, 6 to 15
 * ms, the first time (Linux 6.18); later it has nothing to do. */
__attribute__((constructor)) static void begin(void)
{
	if (settings_exist())
		register_for_barriers();
}

int vcpus_begin(void)
{
	const struct sigaction action = {.sa_handler = interrupt};
	int signal = SIGRTMAX - 1, r;

	if (vcpus.signal != 0)
		return 0;
	while (signal > SIGRTMIN && !is_free(signal))
		signal--;
	if (pthread_key_create(&vcpus.end_of_thread, forget_thread) != 0)
		return -ENOMEM;
	if (sigaction(signal, &action, NULL) < 0)
		return -errno;
	r = register_for_barriers();
	if (r == 0)
		vcpus.signal = signal;
	return r;
}

/* Whether any is in KVM_RUN, but for the calling thread. */
static bool interrupt_all(void)
{
	struct vcpu_thread *thread;
	bool any = false;

	pthread_mutex_lock(&vcpus.lock);
	LIST_FOREACH (thread, &vcpus.threads, link) {
		if (thread == &own || thread->running == 0)
			continue;
		any = true;
		real_calls()->syscall(SYS_tgkill, getpid(), thread->id, vcpus.signal);
	}
	pthread_mutex_unlock(&vcpus.lock);
	return any;
}

void vcpus_hold(void)
{
	uint32_t left;

	vcpus.held = 1;
	real_calls()->syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	for (left = vcpus.left; interrupt_all(); left = vcpus.left) {
		spin_while(&vcpus.left, left);
		futex(&vcpus.left, FUTEX_WAIT_PRIVATE, left, AGAIN_NS);
	}
}

void vcpus_release(void)
{
	vcpus.held = 0;
	futex(&vcpus.held, FUTEX_WAKE_PRIVATE, INT_MAX, 0);
}

int vcpus_set_signal_mask(int fd, const struct kvm_signal_mask *mask)
{
	uint64_t set;
	struct {
		struct kvm_signal_mask head;
		unsigned char set[sizeof set];
	} without;

	if (!mask || mask->len != sizeof set || vcpus.signal == 0)
		return real_calls()->ioctl(fd, KVM_SET_SIGNAL_MASK, mask) < 0 ? -errno : 0;
	without.head.len = mask->len;
	memcpy(&set, mask->sigset, sizeof set);
	set &= ~(1ull << (vcpus.signal - 1));
	memcpy(without.set, &set, sizeof set);
	return real_calls()->ioctl(fd, KVM_SET_SIGNAL_MASK, &without) < 0 ? -errno : 0;
}
