/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Becoming the VMM. See become.h.
 */
#include "client/run/become.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/run/program.h"
#include "client/run/ready.h"
#include "client/run/say.h"
#include "client/run/shim.h"
#include "client/run/work.h"

int become_vmm(char **command)
{
	int number;

	execvp(command[0], command);
	number = errno;
	say_error(command[0], strerror(number));
	return number == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* -1 where it can be run with the library, else the status to exit with. */
static int check_program(const char *name)
{
	char path[PATH_MAX];
	const char *obstacle;
	int r = program_find(name, path, sizeof path);

	if (r < 0) {
		say_error(name, strerror(-r));
		return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	obstacle = program_obstacle(path);
	if (obstacle) {
		say_error(path, obstacle);
		return EXIT_FAILED;
	}
	if (program_is_setuid(path))
		say_error(path, "it is setuid or setgid: it runs without its rights");
	return -1;
}

/* The same. */
static int find_library(char library[static PATH_MAX])
{
	int r = shim_find(library, PATH_MAX);

	if (r == 0)
		return -1;
	say_error(library, r == -EINVAL ? "LD_PRELOAD can't have a path with \" \", \":\" or \"$\""
					: strerror(-r));
	return EXIT_FAILED;
}

/* Whether there is a gmemd. The VM is opened by the VMM. */
static int ask_for_sign(struct gmem *gmem, void *unused)
{
	char *result;
	int r = gmem_call(gmem, "ping", NULL, &result);

	(void)unused;
	if (r == 0)
		free(result);
	return r;
}

static int open_kvm(struct gmem *gmem, void *fd)
{
	return gmem_open_kvm(gmem, fd);
}

static int become_prepared(char **command, int r)
{
	if (r == 0)
		return become_vmm(command);
	say_error("starting the VMM", strerror(-r));
	return EXIT_FAILED;
}

int become_shimmed_vmm(char **command, const char *socket, const struct gmem_vm_options *vm,
	unsigned timeout, bool notify)
{
	const struct work work = {.socket = socket,
		.timeout = timeout,
		.what = "opening the VM",
		.run = ask_for_sign};
	char library[PATH_MAX];
	struct gmem *gmem;
	int r, status = check_program(command[0]);

	if (status < 0)
		status = find_library(library);
	if (status >= 0)
		return status;
	if (work_with_gmemd(&work, &gmem) < 0)
		return EXIT_FAILED;
	gmem_free(gmem);
	r = notify ? ready_watch(socket) : 0;
	return become_prepared(command, r < 0 ? r : shim_prepare(library, socket, vm, timeout));
}

int become_probe(char **command, const char *socket, unsigned timeout)
{
	char library[PATH_MAX];
	int fd, status = check_program(command[0]);
	const struct work work = {.socket = socket,
		.timeout = timeout,
		.what = "a device for a probe",
		.run = open_kvm,
		.context = &fd};
	struct gmem *gmem;

	if (status < 0)
		status = find_library(library);
	if (status >= 0)
		return status;
	if (work_with_gmemd(&work, &gmem) < 0)
		return EXIT_FAILED;
	gmem_free(gmem);
	return become_prepared(command, shim_prepare_probe(library, fd));
}
