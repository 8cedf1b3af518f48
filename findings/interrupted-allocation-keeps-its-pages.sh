#!/bin/sh
# fallocate(2) on a guest_memfd ends with EINTR at any signal that has a handler, SA_RESTART or not, and keeps the pages that it had
# made; on a memfd the same signals don't end it. It doesn't say how far it came. A call that begins anew walks over what is there
# first, and is interrupted there: under a timer of 2 ms "again while EINTR" hadn't allocated 256 MiB after 2,000 calls. Who goes on
# at the count of cachestat(2) is done after some.
#
# Seen on:   Linux 6.18.44.
# Expected:  signal(7) doesn't have fallocate(2) among what is never restarted; fallocate(2) names EINTR, and not what is left then. That
#            of two files of the same use and interface one is interrupted and one is not, neither page tells.
# Output seen: as in "expected" below.
#
# Needs: /dev/kvm, 512 MiB of memory, cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

[ -w /dev/kvm ] || skip "no /dev/kvm"
[ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" -ge 524288 ] || skip "less than 512 MiB of memory are available"
command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define SIZE (256l << 20)
#define PAGE 4096l

struct create_memory { /* struct kvm_create_guest_memfd of Linux 6.8 */
	uint64_t size, flags, reserved[6];
};
#define CREATE_MEMORY _IOWR(KVMIO, 0xd4, struct create_memory)

static volatile sig_atomic_t signals_seen;

static void note_signal(int number)
{
	(void)number;
	signals_seen = 1;
}

/* Not by the processor's time, ITIMER_PROF: that timer's signals wait until a system call is over. */
static void start_timer(long us)
{
	struct itimerval timer = {{0, us}, {0, us}};

	if (us)
		signals_seen = 0;
	if (setitimer(ITIMER_REAL, &timer, NULL))
		exit(2);
}

static long allocated(int memory)
{
	uint64_t range[2] = {0, 0}, counts[5] = {0};

	if (syscall(451 /* cachestat, Linux 6.5 */, memory, range, counts, 0))
		exit(2);
	return (long)counts[0] * PAGE;
}

/* Again where the first signal came too early to interrupt anything. */
static void try_once(const char *name, int memory)
{
	int failed, error;
	long n;

	do {
		start_timer(2000);
		failed = fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, SIZE);
		error = errno;
		start_timer(0);
		n = allocated(memory);
	} while (failed && !n);
	printf("%s: %s, %s of it is allocated, signals came: %s\n", name, failed ? strerror(error) : "done",
		n == SIZE ? "all" : "a part", signals_seen ? "yes" : "no");
}

static void go_on(int memory)
{
	start_timer(5000);
	while (allocated(memory) < SIZE) {
		long done = allocated(memory);

		if (fallocate(memory, FALLOC_FL_KEEP_SIZE, done, SIZE - done) && errno != EINTR)
			exit(2);
	}
	start_timer(0);
	puts("guest_memfd, going on from what there is: done");
}

int main(void)
{
	struct create_memory create = {.size = SIZE};
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	int memory = vm < 0 ? -1 : ioctl(vm, CREATE_MEMORY, &create);

	if (memory < 0) {
		puts("KVM makes no guest_memfd here");
		return 77;
	}
	sigaction(SIGALRM, &action, NULL);
	try_once("guest_memfd, SA_RESTART", memory);
	go_on(memory);
	close(memory);
	memory = memfd_create("finding", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, SIZE))
		return 2;
	try_once("memfd, SA_RESTART", memory);
	return 0;
}
END
cat >"$folder/expected" <<'END'
guest_memfd, SA_RESTART: Interrupted system call, a part of it is allocated, signals came: yes
guest_memfd, going on from what there is: done
memfd, SA_RESTART: done, all of it is allocated, signals came: yes
END

cc -O1 -Wall -pthread -o "$folder/program" "$folder/program.c"
status=0
"$folder/program" >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "$(cat "$folder/seen")"
echo "Linux $(uname -r)"
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
