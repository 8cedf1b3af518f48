/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A gmemd of a program's own. See gmemd_process.h.
 */
#include "tests/lib/gmemd_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/cleanup.h"
#include "protocol/packet.h"

#define START_TRIES       500
#define START_INTERVAL_US 10000

static void path_of(const struct gmemd_process *process, const char *name, char ret[static 64])
{
	snprintf(ret, 64, "%s/%s", process->directory, name);
}

/* Its configuration is empty: the host's must not matter. */
static void execute(const char *program, const char *backend, const struct gmemd_process *process)
{
	char log[64], option[64], backend_option[64];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);

	path_of(process, "log", log);
	fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	snprintf(option, sizeof option, "--runtime-directory=%s", process->directory);
	snprintf(backend_option, sizeof backend_option, "--backend=%s", backend);
	execl(program, program, option, backend_option, "--config=/dev/null", "--gate=preferred",
		NULL);
	fprintf(stderr, "%s: can't be executed\n", program);
	_exit(127);
}

static void print_log(const struct gmemd_process *process)
{
	cleanup_file FILE *file = NULL;
	char path[64], line[256];

	path_of(process, "log", path);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		fputs(line, stderr);
}

static int await_service(struct gmemd_process *process)
{
	int fd, r = -ETIMEDOUT;

	for (unsigned i = 0; i < START_TRIES; i++) {
		r = packet_connect(process->socket, &fd);
		if (r == 0) {
			fd_close(fd);
			return 0;
		}
		if (waitpid(process->pid, NULL, WNOHANG) != 0) {
			process->pid = -1;
			return -ECHILD;
		}
		usleep(START_INTERVAL_US);
	}
	return r;
}

int gmemd_process_start(const char *program, const char *backend, struct gmemd_process *ret)
{
	struct gmemd_process process = {.directory = "/tmp/gmemd-own-XXXXXX"};
	int r;

	if (!mkdtemp(process.directory))
		return -errno;
	path_of(&process, "gmemd.sock", process.socket);
	process.pid = fork();
	if (process.pid == 0)
		execute(program, backend, &process);
	r = process.pid < 0 ? -errno : await_service(&process);
	if (r < 0) {
		print_log(&process);
		gmemd_process_end(&process);
		return r;
	}
	*ret = process;
	return 0;
}

void gmemd_process_end(struct gmemd_process *process)
{
	char log[64];

	if (process->pid > 0) {
		kill(process->pid, SIGTERM);
		waitpid(process->pid, NULL, 0);
	}
	path_of(process, "log", log);
	unlink(log);
	rmdir(process->directory);
}
