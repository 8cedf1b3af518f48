/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who listens at a socket's path. See rival.h.
 */
#include "daemon/peer/rival.h"

#include <stdio.h>
#include <string.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/process.h"

static bool read_name(pid_t pid, char *ret, int size)
{
	cleanup_file FILE *file = NULL;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(ret, size, file))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

/* -1 where it has ended, or can't be seen. */
static int find_listener(int connection, char *ret_name, int size, pid_t *ret_pid)
{
	struct process process;
	bool found;

	if (process_of_socket(connection, &process) < 0)
		return -1;
	found = !process_ended(process.pidfd) && read_name(process.pid, ret_name, size);
	*ret_pid = process.pid;
	process_release(&process);
	return found ? 0 : -1;
}

/* The credentials of a connection are those of who has called listen(2) last. A socket may be held
 * by others than that, and be of nobody's use. */
bool rival_describe(int connection, char ret[static RIVAL_TEXT_SIZE])
{
	char name[64];
	pid_t pid;

	if (find_listener(connection, name, sizeof name, &pid) < 0) {
		snprintf(ret, RIVAL_TEXT_SIZE,
			"no gmemd serves there, but gmemd-keeper, or another, holds the socket of "
			"one that has ended");
		return false;
	}
	if (strcmp(name, "gmemd") == 0)
		snprintf(ret, RIVAL_TEXT_SIZE, "another gmemd serves there");
	else
		snprintf(ret, RIVAL_TEXT_SIZE, "process %d, %s, listens there", pid, name);
	return true;
}
