/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running and holding vCPUs. See vcpus.h.
 */
#include "client/shim/vcpus.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/shim/real.h"
#include "kernel/base/uapi.h"

/* Until those that are still in KVM_RUN are sent the signal again. */
#define AGAIN_NS 500000

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

static void leave(void)
{
	own.running = 0;
	if (vcpus.held == 0)
		return;
	vcpus.left++;
	futex(&vcpus.left, FUTEX_WAKE_PRIVATE, INT_MAX, 0);
}

/* -EINTR: the VMM has sent it a signal of its own meanwhile. */
static int enter(void)
{
	own.running = 1;
	while (vcpus.held != 0) {
		leave();
		if (futex(&vcpus.held, FUTEX_WAIT_PRIVATE, 1, 0) < 0 && errno == EINTR)
			return -EINTR;
		own.running = 1;
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

int vcpus_begin(void)
{
	const struct sigaction action = {.sa_handler = interrupt};
	int signal = SIGRTMAX - 1;

	if (vcpus.signal != 0)
		return 0;
	while (signal > SIGRTMIN && !is_free(signal))
		signal--;
	if (pthread_key_create(&vcpus.end_of_thread, forget_thread) != 0 ||
		sigaction(signal, &action, NULL) < 0)
		return -ENOMEM;
	vcpus.signal = signal;
	return 0;
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
	for (left = vcpus.left; interrupt_all(); left = vcpus.left)
		futex(&vcpus.left, FUTEX_WAIT_PRIVATE, left, AGAIN_NS);
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
