#!/bin/sh
# Closing a pressure trigger takes its process milliseconds, 8 to 16 on a quiet host, where setting it takes 4 microseconds: the kernel
# waits for an RCU grace period, for each trigger by itself, and the last close of the file may be anybody's. An event loop that drops
# a hundred triggers stands still for a second and more, and a monitor with twenty that is killed is there for a fifth of a second and
# more afterwards, during which whoever restarts it waits.
#
# Seen on:   Linux 6.18.44 (psi_trigger_destroy() of kernel/sched/psi.c calls synchronize_rcu()).
# Expected:  Documentation/accounting/psi.rst says that triggers are deregistered when their file is closed, and nothing of a wait. Files
#            that tell of events elsewhere, as those of inotify, fanotify, timerfd and userfaultfd, are closed in microseconds.
# Output seen: as in "expected" below; times differ.
#
# Needs: /proc/pressure, cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

[ -w /proc/pressure/memory ] || skip "no /proc/pressure/memory that can be written"
[ "$(cat /sys/kernel/rcu_expedited 2>/dev/null || echo 0)" = 0 ] || skip "grace periods are expedited here"
command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMES    15
#define TRIGGERS 20

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static int pressure_file(int with_trigger)
{
	int file = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);

	if (file < 0 || (with_trigger && write(file, "some 150000 2000000", 20) != 20)) {
		puts("this user can have no pressure trigger");
		exit(77);
	}
	return file;
}

/* Milliseconds, the median. */
static double time_close(int with_trigger)
{
	double times[TIMES];

	for (int i = 0; i < TIMES; i++) {
		int file = pressure_file(with_trigger);

		times[i] = now();
		close(file);
		times[i] = now() - times[i];
	}
	qsort(times, TIMES, sizeof *times, by_value);
	return times[TIMES / 2];
}

/* Until a killed process with so many triggers is gone. */
static double time_end(int triggers)
{
	int ready[2];
	double start;
	pid_t child;
	char byte;

	if (pipe(ready) < 0 || (child = fork()) < 0)
		exit(77);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < triggers; i++)
			pressure_file(1);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		exit(77);
	close(ready[0]);
	start = now();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return now() - start;
}

int main(void)
{
	double plain = time_close(0), trigger = time_close(1), end = time_end(TRIGGERS);

	fprintf(stderr, "closing the file %.3f ms, with a trigger %.3f ms; the end of %d triggers' process %.1f ms\n",
		plain, trigger, TRIGGERS, end);
	printf("the file alone is closed within 1 ms: %s\n", plain < 1 ? "yes" : "no");
	printf("with a trigger that takes 2 ms or more: %s\n", trigger >= 2 ? "yes" : "no");
	printf("a process with 20 of them takes ten times as long or more to end: %s\n",
		end >= 10 * trigger ? "yes" : "no");
	return 0;
}
END
cat >"$folder/expected" <<'END'
the file alone is closed within 1 ms: yes
with a trigger that takes 2 ms or more: yes
a process with 20 of them takes ten times as long or more to end: yes
END

cc -O1 -Wall -o "$folder/program" "$folder/program.c"
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
