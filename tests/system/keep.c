/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keep: gmemd's side of gmemd-keeper, for tests.
 *
 *   keep start DIR [SECONDS]   starts a keeper, then sleeps
 *   keep use DIR               puts, takes and drops; fails with what was wrong
 *   keep time DIR              prints what a put takes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kernel/host/memory_file.h"
#include "tests/lib/keeper_waiting.h"

#define FILES 100

static struct keeper_client *keeper;
static struct keeper_id ids[FILES];
static int fds[FILES];
static size_t seen;

static void need(int value, const char *what)
{
	if (value)
		return;
	fprintf(stderr, "keep: %s\n", what);
	exit(EXIT_FAILURE);
}

static int start(const char *directory, unsigned seconds)
{
	int r = keeper_start(directory);

	if (r < 0)
		fprintf(stderr, "keep: start: %s\n", strerror(-r));
	else
		puts("started");
	fflush(stdout);
	sleep(seconds);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void make_files(void)
{
	for (unsigned i = 0; i < FILES; i++) {
		ids[i] = (struct keeper_id){1, 2, i};
		fds[i] = memfd_create("keep", MFD_CLOEXEC);
		need(fds[i] >= 0, "memfd");
	}
}

static int same_file(const struct keeper_id *id, int fd, void *context)
{
	struct file_identity got, wanted;

	(void)context;
	need(id->member == seen && keeper_report(keeper)->started > 0, "the order");
	need(file_identity_of(fd, &got) == 0 && file_identity_of(fds[seen], &wanted) == 0, "stat");
	need(file_identity_compare(&got, &wanted) == 0, "another file");
	need(fcntl(fd, F_GETFD) == FD_CLOEXEC, "FD_CLOEXEC");
	close(fd);
	seen++;
	return 0;
}

static int stop_at_once(const struct keeper_id *id, int fd, void *context)
{
	(void)id;
	(void)context;
	close(fd);
	return 7;
}

static int use(void)
{
	int wrong = -1;

	make_files();
	need(keeper_put(keeper, ids, fds, FILES, 0) == 0, "putting");
	need(keeper_take(keeper, same_file, NULL) == 0 && seen == FILES, "taking");
	need(keeper_take(keeper, stop_at_once, NULL) == 7, "stopping");
	for (unsigned i = 0; i < 10 * FILES; i++)
		need(keeper_post_put(keeper, &ids[i % FILES], &fds[i % FILES], 1, 0) == 0,
			"posting");
	need(keeper_await_posted(keeper) == 0 && keeper_await_posted(keeper) == 0, "settling");
	need(keeper_put(keeper, ids, &wrong, 1, 0) == -EBADF, "what is no fd");
	seen = 0;
	need(keeper_take(keeper, same_file, NULL) == 0 && seen == FILES, "taking again");
	need(keeper_drop(keeper, ids, FILES) == 0, "dropping");
	need(keeper_drop(keeper, ids, FILES) == 0, "dropping what is gone");
	seen = 0;
	need(keeper_take(keeper, same_file, NULL) == 0 && seen == 0, "taking nothing");
	return EXIT_SUCCESS;
}

static int measure(void)
{
	struct timespec before, after;
	const unsigned count = 20000;

	make_files();
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (unsigned i = 0; i < count; i++)
		need(keeper_put(keeper, ids, fds, 1, 0) == 0, "putting");
	clock_gettime(CLOCK_MONOTONIC, &after);
	printf("%.1f us a put\n", ((double)(after.tv_sec - before.tv_sec) * 1e9 +
					  (double)(after.tv_nsec - before.tv_nsec)) /
					  count / 1e3);
	need(keeper_drop(keeper, ids, 1) == 0, "dropping");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int r;

	if (argc >= 3 && strcmp(argv[1], "start") == 0)
		return start(argv[2], argc > 3 ? (unsigned)atoi(argv[3]) : 0);
	need(argc == 3, "start, use or time");
	r = keeper_connect(argv[2], &keeper);
	need(r == 0, strerror(-r));
	r = strcmp(argv[1], "use") == 0 ? use() : measure();
	keeper_free(keeper);
	return r;
}
