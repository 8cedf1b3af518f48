/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Units. See unit.h.
 */
#include "daemon/unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

#include "kernel/cleanup.h"

/* systemd allows no such name. */
#define UNKNOWN "(none)"

/* More of a process than these are not asked. */
#define THREADS_MAX 16

/* Of a process or a thread. */
static int read_unit(pid_t id, char ret[static OWNER_UNIT_BYTES_MAX + 1])
{
	cleanup_free char *unit = NULL, *of_user = NULL, *whole = NULL;
	int r = sd_pid_get_unit(id, &unit);

	if (r < 0)
		return r;
	if (sd_pid_get_user_unit(id, &of_user) >= 0 && asprintf(&whole, "%s/%s", unit, of_user) < 0)
		return -ENOMEM;
	owner_write_unit(ret, whole ? whole : unit);
	return 0;
}

/* A leader that has ended is in the root's cgroup, as cgroup v1 tells it; its threads are not. */
static int read_unit_of_threads(pid_t process, char ret[static OWNER_UNIT_BYTES_MAX + 1])
{
	const struct dirent *entry;
	int r = -ENODATA;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%d/task", process);
	threads = opendir(path);
	if (!threads)
		return -errno;
	for (unsigned i = 0; r < 0 && i < THREADS_MAX && (entry = readdir(threads)); i++) {
		if (entry->d_name[0] != '.')
			r = read_unit(atoi(entry->d_name), ret);
	}
	closedir(threads);
	return r;
}

void unit_of_process(const struct process *process, char ret[static OWNER_UNIT_BYTES_MAX + 1])
{
	int r;

	ret[0] = '\0';
	if (sd_booted() <= 0)
		return;
	r = read_unit(process->pid, ret);
	if (r < 0)
		r = read_unit_of_threads(process->pid, ret);
	/* Its pid could have been another's by then. */
	if (r < 0 || process_ended(process->pidfd))
		owner_write_unit(ret, UNKNOWN);
}
