/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cgroups of libvirt's machines. See machine_cgroup.h.
 */
#include "kernel/host/machine_cgroup.h"

#include <stdio.h>
#include <string.h>

#include "kernel/base/cleanup.h"

#define CGROUPS_SIZE 16384 /* of /proc/PID/cgroup, however many hierarchies */

void machine_prefix(long long domain, char ret[static MACHINE_PREFIX_SIZE])
{
	snprintf(ret, MACHINE_PREFIX_SIZE, "qemu-%lld-", domain);
}

/* As far as end; true, and past it, where it is what the text begins with. */
static bool skip(const char **text, const char *end, const char *what)
{
	size_t length = strlen(what);

	if ((size_t)(end - *text) < length || memcmp(*text, what, length) != 0)
		return false;
	*text += length;
	return true;
}

static bool ends_with(const char *text, const char *end, const char *what)
{
	size_t length = strlen(what);

	return (size_t)(end - text) > length && memcmp(end - length, what, length) == 0;
}

/* As systemd writes it in a unit's name. */
static bool skip_escaped(const char **text, const char *end, const char *what)
{
	for (; *what; what++) {
		char character[2] = {*what, '\0'};

		if (!skip(text, end, *what == '-' ? "\\x2d" : character))
			return false;
	}
	return true;
}

static bool is_scope(const char *name, const char *end, const char *prefix)
{
	return ends_with(name, end, ".scope") && skip(&name, end, "machine-") &&
	       skip_escaped(&name, end, prefix);
}

static bool is_group(const char *name, const char *end, const char *prefix)
{
	return ends_with(name, end, ".libvirt-qemu") && skip(&name, end, prefix);
}

/* path: what follows the root, up to end. */
static bool is_machine(const char *path, const char *end, const char *prefix)
{
	bool slices = true, partitions = true;

	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *part_end = slash ? slash : end;

		if ((slices && is_scope(path, part_end, prefix)) ||
			(partitions && is_group(path, part_end, prefix)))
			return true;
		slices &= ends_with(path, part_end, ".slice");
		partitions &= ends_with(path, part_end, ".partition") ||
			      (part_end - path == 7 && memcmp(path, "machine", 7) == 0);
		path = slash ? slash + 1 : end;
	}
	return false;
}

static bool list_has(const char *list, const char *end, const char *word)
{
	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		const char *part_end = comma ? comma : end;

		if ((size_t)(part_end - list) == strlen(word) &&
			memcmp(list, word, strlen(word)) == 0)
			return true;
		list = part_end + 1;
	}
	return false;
}

/* The path of a line "number:controllers:path", which ends at end. NULL where the line is of a
 * hierarchy that doesn't count. The unified one counts where no other has the memory. */
static const char *path_of(const char *line, const char *end, bool *ret_unified)
{
	const char *list = memchr(line, ':', (size_t)(end - line));
	const char *path = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;

	if (!path || end - path < 2 || path[1] != '/')
		return NULL;
	*ret_unified = strncmp(line, "0::", 3) == 0;
	return *ret_unified || list_has(list + 1, path, "memory") ? path + 2 : NULL;
}

bool machine_cgroup_is(const char *cgroups, const char *prefix)
{
	bool found = false, unified;

	while (*cgroups) {
		const char *end = cgroups + strcspn(cgroups, "\n");
		const char *path = path_of(cgroups, end, &unified);

		if (path && !unified)
			return is_machine(path, end, prefix);
		if (path)
			found = is_machine(path, end, prefix);
		cgroups = *end ? end + 1 : end;
	}
	return found;
}

bool machine_has_process(pid_t process, const char *prefix)
{
	char path[64], cgroups[CGROUPS_SIZE];
	cleanup_file FILE *file = NULL;
	size_t length;

	snprintf(path, sizeof path, "/proc/%d/cgroup", process);
	file = fopen(path, "re");
	if (!file)
		return false;
	length = fread(cgroups, 1, sizeof cgroups - 1, file);
	if (ferror(file) || !feof(file))
		return false;
	cgroups[length] = '\0';
	return machine_cgroup_is(cgroups, prefix);
}
