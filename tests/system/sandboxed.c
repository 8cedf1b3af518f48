/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandboxed: installs filters as QEMU's -sandbox on does, by libseccomp and for all threads, then
 * looks at what they deny. Its exit status is 0 where they do.
 */
#include <errno.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int install(int call)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EUSERS), call, 0);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

static void *wait_for_ever(void *context)
{
	(void)context;
	for (;;)
		pause();
	return NULL;
}

int main(void)
{
	pthread_t thread;
	int r;

	if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
		return EXIT_FAILURE;
	r = install(SCMP_SYS(getppid));
	if (r == 0)
		r = install(SCMP_SYS(getpgrp));
	if (r < 0) {
		fprintf(stderr, "sandboxed: a filter is refused: %d\n", r);
		return EXIT_FAILURE;
	}
	errno = 0;
	return syscall(__NR_getppid) == -1 && errno == EUSERS ? EXIT_SUCCESS : EXIT_FAILURE;
}
