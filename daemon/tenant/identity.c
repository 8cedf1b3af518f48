/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a peer is. See identity.h.
 */
#include "daemon/tenant/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/owner/unit.h"
#include "kernel/base/cleanup.h"

/* A process can have 65,536. */
#define GROUPS_GUESS 32
#define GROUPS_TRIES 3

void identity_begin(
	int socket, const struct process *process, const char *unit, struct identity *ret)
{
	*ret = (struct identity){.socket = socket, .process = process, .told_unit = unit};
}

void identity_clear(struct identity *identity)
{
	free(identity->groups);
	identity->groups = NULL;
}

/* Those that it had when it connected; SO_PEERGROUPS, Linux 4.13. */
static enum identity_state take_groups(struct identity *identity)
{
	socklen_t bytes = GROUPS_GUESS * sizeof(gid_t);

	for (unsigned i = 0; i < GROUPS_TRIES; i++) {
		gid_t *groups = realloc(identity->groups, bytes > 0 ? bytes : 1);

		if (!groups)
			return IDENTITY_UNAVAILABLE;
		identity->groups = groups;
		if (getsockopt(identity->socket, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0) {
			identity->n_groups = bytes / sizeof *groups;
			return IDENTITY_KNOWN;
		}
		if (errno != ERANGE)
			break;
	}
	return IDENTITY_UNAVAILABLE;
}

/* Where systemd runs not, or has no such unit. */
static enum identity_state take_unit(struct identity *identity)
{
	if (identity->told_unit[0] && strcmp(identity->told_unit, UNIT_UNKNOWN) != 0)
		return IDENTITY_KNOWN;
	return process_ended(identity->process->pidfd) ? IDENTITY_GONE : IDENTITY_UNAVAILABLE;
}

/* "NUMBER:CONTROLLERS:PATH": the path in the unified hierarchy, or, where the process is in none of
 * that, in systemd's. */
static const char *path_of(char *line, const char *controllers)
{
	char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;

	if (!second)
		return NULL;
	*second = '\0';
	return strcmp(first + 1, controllers) == 0 ? second + 1 : NULL;
}

static bool read_path(pid_t process, pid_t thread, const char *controllers, char *ret, size_t size)
{
	char line[IDENTITY_CGROUP_MAX + 128], path[64];
	cleanup_file FILE *file = NULL;

	snprintf(path, sizeof path, "/proc/%d/task/%d/cgroup", process, thread);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file)) {
		const char *found;

		line[strcspn(line, "\n")] = '\0';
		found = path_of(line, controllers);
		if (found && strlen(found) < size) {
			strcpy(ret, found);
			return true;
		}
	}
	return false;
}

/* Its pid could be another's by the end. */
static enum identity_state take_cgroup(struct identity *identity)
{
	const struct process *process = identity->process;
	size_t size = sizeof identity->cgroup;
	pid_t thread;
	bool found;

	found = process_living_thread(process->pid, &thread) == 0 &&
		(read_path(process->pid, thread, "", identity->cgroup, size) ||
			read_path(process->pid, thread, "name=systemd", identity->cgroup, size));
	if (process_ended(process->pidfd))
		return IDENTITY_GONE;
	return found ? IDENTITY_KNOWN : IDENTITY_UNAVAILABLE;
}

/* ENOPROTOOPT where no security module labels it. */
static enum identity_state take_label(struct identity *identity)
{
	socklen_t length = IDENTITY_LABEL_MAX;

	if (getsockopt(identity->socket, SOL_SOCKET, SO_PEERSEC, identity->label, &length) < 0)
		return IDENTITY_UNAVAILABLE;
	identity->label[length] = '\0';
	identity->label[strcspn(identity->label, "\n")] = '\0';
	return IDENTITY_KNOWN;
}

enum identity_state identity_take(struct identity *identity, enum identity_part part)
{
	static enum identity_state (*const takers[IDENTITY_PARTS])(struct identity *) = {
		[IDENTITY_GROUPS] = take_groups,
		[IDENTITY_UNIT] = take_unit,
		[IDENTITY_CGROUP] = take_cgroup,
		[IDENTITY_LABEL] = take_label,
	};

	if (identity->states[part] == IDENTITY_NOT_TAKEN)
		identity->states[part] = takers[part](identity);
	return identity->states[part];
}
