/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observe: whether gmemd is what it was: no VM, so many file descriptors, nothing committed.
 *
 *     observe [--kill=PID [--signal=NUMBER]] [--fds=NUMBER] RUNTIME-DIRECTORY GMEMD-PID
 *
 * Sends the signal, then waits, at most a minute, until gmemd has no VM and that many file
 * descriptors, and prints what it saw and how long that took. Without --fds it just looks. What the
 * host has committed is in no answer but the refusal of more than it has, so it opens a VM of its
 * own and asks for that.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "client/lib/connection.h"
#include "client/lib/opening.h"
#include "protocol/json.h"

#define WAIT_SECONDS_MAX 60.0

/* Whole pages, and more than any host has. */
#define TOO_MUCH (1ull << 62)

struct settings {
	const char *directory;
	pid_t gmemd;
	pid_t victim; /* 0: none */
	int signal;
	long fds; /* -1: any number */
};

struct observation {
	size_t vms;
	long fds;
	uint64_t committed;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool is_puncher_of(const char *process, pid_t parent)
{
	char path[64], name[32];
	bool is_one = false;
	int its_parent;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%.20s/stat", process);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%31[^)]) %*c %d", name, &its_parent) == 2)
		is_one = its_parent == parent && strcmp(name, "gmemd-puncher") == 0;
	fclose(file);
	return is_one;
}

/* They come and go with what is given back. gmemd has a pidfd and a socket for each. */
static long count_fds_of_punchers(pid_t process)
{
	DIR *directory = opendir("/proc");
	long count = 0;

	for (struct dirent *entry; directory && (entry = readdir(directory));)
		count += is_puncher_of(entry->d_name, process) ? 2 : 0;
	if (directory)
		closedir(directory);
	return count;
}

static long count_fds(pid_t process)
{
	char path[64];
	DIR *directory;
	long count = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", process);
	directory = opendir(path);
	if (!directory)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static int connect_to(const struct settings *settings, const char *socket, struct gmem **ret)
{
	char path[128];
	int r;

	snprintf(path, sizeof path, "%s/%s", settings->directory, socket);
	r = gmem_connect(path, ret);
	if (r < 0)
		fprintf(stderr, "observe: %s: %s\n", path, strerror(-r));
	return r;
}

/* By one connection, so that every observation finds as many file descriptors of the observer's. */
static int look(const struct settings *settings, struct gmem *gmem, struct observation *ret)
{
	struct json_object *result;
	int r;

	r = connection_request(gmem, "vm.list", NULL, NULL, &result);
	if (r < 0)
		return r;
	ret->vms = json_length(json_get(result, "vms"));
	ret->fds = count_fds(settings->gmemd) - count_fds_of_punchers(settings->gmemd);
	json_unref(result);
	return 0;
}

static bool as_expected(const struct settings *settings, const struct observation *observation)
{
	return settings->fds < 0 || (observation->vms == 0 && observation->fds == settings->fds);
}

static int wait_until_expected(
	const struct settings *settings, struct observation *ret, double *ret_seconds)
{
	double start = now();
	struct gmem *gmem;
	int r;

	r = connect_to(settings, "admin.sock", &gmem);
	if (r < 0)
		return r;
	if (settings->victim > 0 && kill(settings->victim, settings->signal) < 0)
		perror("observe: kill");
	do {
		r = look(settings, gmem, ret);
		*ret_seconds = now() - start;
		if (r < 0 || as_expected(settings, ret))
			break;
		usleep(500);
	} while (*ret_seconds < WAIT_SECONDS_MAX);
	gmem_free(gmem);
	return r;
}

static int read_committed(struct gmem *gmem, const char *vm, uint64_t *ret)
{
	struct json_object *params = json_new_object(), *error;
	const char *text, *why;
	bool told;

	json_add_string(params, "vm", vm);
	json_add_uint(params, "size", TOO_MUCH);
	if (connection_request(gmem, "memory.create", params, NULL, NULL) != -EREMOTEIO)
		return -EPROTO;
	text = gmem_last_error();
	error = json_parse(text, strlen(text), &why);
	told = strcmp(json_get_string(json_get(error, "data"), "scope"), "host") == 0 &&
	       json_get_uint(json_get(error, "data"), "committed", ret);
	json_unref(error);
	return told ? 0 : -EPROTO;
}

/* Puts a gate round this process, for good. */
static int look_at_budget(const struct settings *settings, struct observation *ret)
{
	const struct gmem_vm_options options = {.name = "observe"};
	struct opening opening;
	struct gmem *gmem;
	int r;

	r = connect_to(settings, "gmemd.sock", &gmem);
	if (r < 0)
		return r;
	r = opening_make(gmem, &options, &opening);
	if (r == 0) {
		r = read_committed(gmem, opening.id, &ret->committed);
		opening_clear(&opening);
	}
	if (r < 0)
		fprintf(stderr, "observe: no budget to see: %s %s\n", strerror(-r),
			gmem_last_error());
	gmem_free(gmem);
	return r;
}

static bool read_settings(int argc, char **argv, struct settings *ret)
{
	static const struct option options[] = {
		{"kill", required_argument, NULL, 'k'},
		{"signal", required_argument, NULL, 's'},
		{"fds", required_argument, NULL, 'f'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*ret = (struct settings){.signal = SIGKILL, .fds = -1};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'k')
			ret->victim = atoi(optarg);
		else if (option == 's')
			ret->signal = atoi(optarg);
		else if (option == 'f')
			ret->fds = atol(optarg);
		else
			return false;
	}
	if (argc - optind != 2)
		return false;
	ret->directory = argv[optind];
	ret->gmemd = atoi(argv[optind + 1]);
	return true;
}

int main(int argc, char **argv)
{
	struct observation observation = {0};
	struct settings settings;
	double seconds = 0;

	if (!read_settings(argc, argv, &settings)) {
		fputs("Usage: observe [--kill=PID [--signal=N]] [--fds=N] DIRECTORY GMEMD-PID\n",
			stderr);
		return 2;
	}
	if (wait_until_expected(&settings, &observation, &seconds) < 0 ||
		look_at_budget(&settings, &observation) < 0)
		return EXIT_FAILURE;
	printf("vms=%zu fds=%ld committed=%" PRIu64 " ms=%.1f\n", observation.vms, observation.fds,
		observation.committed, seconds * 1000);
	if (!as_expected(&settings, &observation) || observation.committed != 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
