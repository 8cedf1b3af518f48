/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A gmemd of a program's own. See gmemd_process.h.
 */
#include "tests/lib/gmemd_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "protocol/packet.h"

#define START_TRIES       6000
#define START_INTERVAL_US 10000

static void path_of(const struct gmemd_process *process, const char *name, char ret[static 64])
{
	snprintf(ret, 64, "%s/%s", process->directory, name);
}

/* Its configuration is its own: the host's must not matter. */
static void execute(const char *program, const char *backend, const struct gmemd_process *process)
{
	char log[64], config[64], option[64], backend_option[64], config_option[80];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);

	path_of(process, "log", log);
	fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	snprintf(option, sizeof option, "--runtime-directory=%s", process->directory);
	snprintf(backend_option, sizeof backend_option, "--backend=%s", backend);
	path_of(process, "conf", config);
	snprintf(config_option, sizeof config_option, "--config=%s", config);
	execl(program, program, option, backend_option, config_option, "--gate=preferred", NULL);
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

/* Each socket is there at a moment of its own. */
static int try_sockets(const struct gmemd_process *process)
{
	static const char *const names[] = {"gmemd.sock", "admin.sock"};
	char path[64];
	int fd, r = 0;

	for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++) {
		path_of(process, names[i], path);
		r = packet_connect(path, &fd);
		if (r == 0)
			fd_close(fd);
	}
	return r;
}

int gmemd_process_await(struct gmemd_process *process)
{
	int r = -ETIMEDOUT;

	for (unsigned i = 0; i < START_TRIES; i++) {
		r = try_sockets(process);
		if (r == 0)
			return 0;
		if (waitpid(process->pid, NULL, WNOHANG) != 0) {
			process->pid = -1;
			return -ECHILD;
		}
		usleep(START_INTERVAL_US);
	}
	return r;
}

/* What a process's file in /proc has, up to a size; 0 where it can't be read. */
static size_t read_of(const char *pid, const char *name, char *ret, size_t size)
{
	cleanup_file FILE *file = NULL;
	char path[64];

	snprintf(path, sizeof path, "/proc/%.16s/%s", pid, name);
	file = fopen(path, "re");
	return file ? fread(ret, 1, size, file) : 0;
}

/* By its name first: another process may hang in what makes its command line's reader hang too. */
static bool is_keeper(const char *pid, const char *argument)
{
	static const char name[] = "gmemd-keeper\n";
	char line[256];
	size_t length = read_of(pid, "comm", line, sizeof line);

	if (length != sizeof name - 1 || memcmp(line, name, length) != 0)
		return false;
	length = read_of(pid, "cmdline", line, sizeof line);
	return memmem(line, length, argument, strlen(argument) + 1);
}

/* It is a child of nobody's. */
pid_t gmemd_process_keeper(const struct gmemd_process *process)
{
	struct dirent *entry;
	char wanted[64];
	pid_t found = -1;
	DIR *proc = opendir("/proc");

	snprintf(wanted, sizeof wanted, "--runtime-directory=%s", process->directory);
	while (proc && found < 0 && (entry = readdir(proc))) {
		if (atoi(entry->d_name) > 0 && is_keeper(entry->d_name, wanted))
			found = atoi(entry->d_name);
	}
	if (proc)
		closedir(proc);
	return found;
}

/* When it is reaped is not ours to say. */
static void end_keeper(const struct gmemd_process *process)
{
	pid_t keeper = gmemd_process_keeper(process);

	if (keeper > 0)
		kill(keeper, SIGKILL);
	for (unsigned i = 0; keeper > 0 && i < START_TRIES; i++) {
		if (gmemd_process_keeper(process) != keeper)
			return;
		usleep(START_INTERVAL_US);
	}
}

int gmemd_process_launch(const char *program, struct gmemd_process *process)
{
	process->pid = fork();
	if (process->pid == 0)
		execute(program, process->backend, process);
	return process->pid < 0 ? -errno : 0;
}

static int launch_and_await(const char *program, struct gmemd_process *process)
{
	int r = gmemd_process_launch(program, process);

	return r < 0 ? r : gmemd_process_await(process);
}

void gmemd_process_kill(struct gmemd_process *process)
{
	kill(process->pid, SIGKILL);
	waitpid(process->pid, NULL, 0);
}

void gmemd_process_kill_both(struct gmemd_process *process)
{
	/* It must not start another keeper meanwhile. */
	kill(process->pid, SIGSTOP);
	end_keeper(process);
	gmemd_process_kill(process);
}

int gmemd_process_restart(const char *program, struct gmemd_process *process, bool with_keeper)
{
	if (with_keeper)
		gmemd_process_kill_both(process);
	else
		gmemd_process_kill(process);
	return launch_and_await(program, process);
}

static int write_config(const struct gmemd_process *process, const char *config)
{
	cleanup_file FILE *file = NULL;
	char path[64];

	path_of(process, "conf", path);
	file = fopen(path, "we");
	return file && fputs(config, file) >= 0 ? 0 : -errno;
}

int gmemd_process_start(
	const char *program, const char *backend, const char *config, struct gmemd_process *ret)
{
	struct gmemd_process process = {.directory = "/tmp/gmemd-own-XXXXXX", .backend = backend};
	int r;

	if (!mkdtemp(process.directory))
		return -errno;
	path_of(&process, "gmemd.sock", process.socket);
	r = write_config(&process, config);
	if (r == 0)
		r = launch_and_await(program, &process);
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
	static const char *const left[] = {
		"conf", "log", "keeper.sock", "keeper.lock", "gmemd.sock", "admin.sock"};
	char path[64];

	if (process->pid > 0) {
		kill(process->pid, SIGTERM);
		waitpid(process->pid, NULL, 0);
	}
	end_keeper(process);
	for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
		path_of(process, left[i], path);
		unlink(path);
	}
	rmdir(process->directory);
}
