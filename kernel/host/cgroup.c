/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory cgroups. See cgroup.h.
 */
#include "kernel/host/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/process.h"

/* More than any memory.stat has. */
#define CONTROL_FILE_SIZE 16384

/* Where to look for what, which the two versions name differently. */
struct interface {
	const char *limit;
	const char *usage;
	const char *kills; /* the file that has a line "oom_kill N" */
	/* Lines of memory.stat, which count those below, too. */
	const char *reclaimable[2];
	const char *busy[2];
};

static const struct interface interfaces[] = {
	{
		.limit = "memory.limit_in_bytes",
		.usage = "memory.usage_in_bytes",
		.kills = "memory.oom_control",
		.reclaimable = {"total_inactive_file", "total_active_file"},
		.busy = {"total_dirty", "total_writeback"},
	},
	{
		.limit = "memory.max",
		.usage = "memory.current",
		.kills = "memory.events.local",
		.reclaimable = {"inactive_file", "active_file"},
		.busy = {"file_dirty", "file_writeback"},
	},
};

static const struct interface *interface_of(const struct cgroup *cgroup)
{
	return &interfaces[cgroup->unified];
}

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return *line ? line + 1 : line;
}

/* Finding it */

static bool list_has(const char *list, size_t length, const char *word)
{
	const char *end = list + length;

	while (list < end) {
		size_t part = strcspn(list, ",:\n");

		if (part == strlen(word) && memcmp(list, word, part) == 0)
			return true;
		list += part + 1;
	}
	return false;
}

/* Lines are "number:controllers:path", and the unified hierarchy's has number 0 and no
 * controllers. */
static int find_path(const char *cgroups, struct cgroup_location *ret)
{
	bool found = false;

	for (const char *line = cgroups; *line; line = next_line(line)) {
		const char *controllers = strchr(line, ':');
		const char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		bool unified = strncmp(line, "0::", 3) == 0;

		if (!path)
			return -EINVAL;
		controllers++;
		if (!unified && !list_has(controllers, (size_t)(path - controllers), "memory"))
			continue;
		path++;
		if (*path != '/' || strcspn(path, "\n") >= sizeof ret->path)
			return -EINVAL;
		if (found && unified)
			continue;
		found = true;
		ret->unified = unified;
		snprintf(ret->path, sizeof ret->path, "%.*s", (int)strcspn(path, "\n"), path);
	}
	return found ? 0 : -ENOENT;
}

/* Blanks, tabs, newlines and backslashes are written as three octal digits. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		unsigned byte;

		if (sscanf(from, "\\%3o", &byte) == 1) {
			*to = (char)byte;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

struct mount {
	const char *root;  /* what of the hierarchy it shows */
	const char *point; /* where */
	const char *type;
	const char *options; /* of the hierarchy */
};

/* "36 35 98:0 /root /point options optional... - type source options"; see proc(5). */
static bool mount_parse(char *line, struct mount *ret)
{
	char *fields[6] = {NULL};
	char *rest = strstr(line, " - ");

	if (!rest)
		return false;
	*rest = '\0';
	rest += strlen(" - ");
	for (int i = 0; i < 6; i++)
		fields[i] = strsep(&line, " ");
	ret->type = strsep(&rest, " ");
	strsep(&rest, " ");
	ret->options = rest;
	if (!fields[5] || !rest)
		return false;
	unescape(fields[3]);
	unescape(fields[4]);
	ret->root = fields[3];
	ret->point = fields[4];
	return true;
}

/* What follows root in path; NULL where it does not lead there. */
static const char *path_below(const char *root, const char *path)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, length) != 0)
		return NULL;
	path += length;
	if (*path != '/' && *path != '\0')
		return NULL;
	if (strcmp(path, "/..") == 0 || strncmp(path, "/../", 4) == 0)
		return NULL;
	return path;
}

static bool mount_shows(
	const struct mount *mount, const struct cgroup_location *location, const char **ret_below)
{
	const char *below = path_below(mount->root, location->path);
	bool fits = location->unified
			    ? strcmp(mount->type, "cgroup2") == 0
			    : strcmp(mount->type, "cgroup") == 0 &&
				      list_has(mount->options, strlen(mount->options), "memory");

	if (!fits || !below)
		return false;
	*ret_below = below;
	return true;
}

int cgroup_locate(const char *cgroups, const char *mounts, struct cgroup_location *ret)
{
	struct cgroup_location location;
	cleanup_free char *copy = strdup(mounts);
	char *rest = copy;
	int r = find_path(cgroups, &location);

	if (r < 0 || !copy)
		return r < 0 ? r : -ENOMEM;
	for (char *line; (line = strsep(&rest, "\n"));) {
		const char *below;
		struct mount mount;

		if (!mount_parse(line, &mount) || !mount_shows(&mount, &location, &below))
			continue;
		if (strlen(mount.point) + strlen(below) >= sizeof ret->path)
			return -ENAMETOOLONG;
		ret->unified = location.unified;
		snprintf(ret->path, sizeof ret->path, "%s%s", mount.point, below);
		return 0;
	}
	return -EXDEV;
}

static int read_text(const char *path, char **ret)
{
	cleanup_file FILE *file = fopen(path, "re");
	cleanup_free char *text = NULL;
	size_t size = 0;

	if (!file)
		return -errno;
	errno = 0;
	if (getdelim(&text, &size, '\0', file) < 0)
		return errno ? -errno : -ENODATA;
	*ret = text;
	text = NULL; /* handed over */
	return 0;
}

static int open_located(const struct cgroup_location *location, struct cgroup *ret)
{
	const long wanted = location->unified ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
	cleanup_fd int directory = open(location->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs status;

	if (directory < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	if (fstatfs(directory, &status) < 0)
		return -errno;
	if (status.f_type != wanted) /* something else is mounted over it */
		return -EXDEV;
	*ret = (struct cgroup){.unified = location->unified, .directory = directory};
	directory = -1; /* handed over */
	return 0;
}

static int open_by_text(const char *cgroups, struct cgroup *ret)
{
	cleanup_free char *mounts = NULL;
	struct cgroup_location location;
	int r = read_text("/proc/self/mountinfo", &mounts);

	if (r == 0)
		r = cgroup_locate(cgroups, mounts, &location);
	return r < 0 ? r : open_located(&location, ret);
}

/* How often a thread that ends meanwhile makes way for another. */
#define TRIES 16

/* Of a thread that lives: one that has ended is in the root, as v1 tells it. */
static int read_of_thread(pid_t process, char **ret)
{
	char path[64], *text;
	pid_t thread;
	int r;

	for (unsigned i = 0; i < TRIES; i++) {
		r = process_living_thread(process, &thread);
		if (r < 0)
			return r;
		snprintf(path, sizeof path, "/proc/%d/task/%d/cgroup", process, thread);
		r = read_text(path, &text);
		if (r < 0 && r != -ENOENT && r != -ESRCH)
			return r;
		if (r == 0 && process_thread_lives(process, thread)) {
			*ret = text;
			return 0;
		}
		if (r == 0)
			free(text);
	}
	return -ESRCH;
}

/* What was read was of this process if the pid is still its own afterwards. */
int cgroup_of_process(pid_t process, int pidfd, struct cgroup *ret)
{
	cleanup_free char *cgroups = NULL;
	int r = read_of_thread(process, &cgroups);

	if (process_ended(pidfd))
		return -ESRCH;
	return r < 0 ? r : open_by_text(cgroups, ret);
}

int cgroup_own(struct cgroup *ret)
{
	cleanup_free char *cgroups = NULL;
	int r = read_text("/proc/self/cgroup", &cgroups);

	return r < 0 ? r : open_by_text(cgroups, ret);
}

int cgroup_duplicate(const struct cgroup *cgroup, struct cgroup *ret)
{
	int directory = fcntl(cgroup->directory, F_DUPFD_CLOEXEC, 0);

	if (directory < 0)
		return -errno;
	*ret = (struct cgroup){.unified = cgroup->unified, .directory = directory};
	return 0;
}

void cgroup_release(struct cgroup *cgroup)
{
	cgroup->directory = fd_close(cgroup->directory);
}

/* What it says of itself */

static int control_read(int directory, const char *name, char text[static CONTROL_FILE_SIZE])
{
	cleanup_fd int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -errno;
	length = read(fd, text, CONTROL_FILE_SIZE - 1);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	return 0;
}

/* "max" where there is no limit, in v2; in v1 the largest number of pages. */
static int control_number(int directory, const char *name, uint64_t *ret)
{
	char text[CONTROL_FILE_SIZE];
	int r = control_read(directory, name, text);
	uint64_t number;

	if (r < 0)
		return r;
	number = strncmp(text, "max", 3) == 0 ? CGROUP_UNLIMITED : strtoull(text, NULL, 10);
	*ret = number > INT64_MAX / 2 ? CGROUP_UNLIMITED : number;
	return 0;
}

/* 0 where there is no such line. */
static uint64_t line_number(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = text; *line; line = next_line(line)) {
		if (strncmp(line, name, length) == 0 && line[length] == ' ')
			return strtoull(line + length + 1, NULL, 10);
	}
	return 0;
}

/* Every cgroup but a removed one has it. */
static int check_present(const struct cgroup *cgroup)
{
	if (faccessat(cgroup->directory, "cgroup.procs", F_OK, AT_EACCESS) == 0)
		return 0;
	return errno == ENOENT ? -ENODEV : -errno;
}

static int reclaimable_in(const struct interface *interface, int directory, uint64_t *ret)
{
	char text[CONTROL_FILE_SIZE];
	uint64_t files = 0, busy = 0;
	int r = control_read(directory, "memory.stat", text);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		files += line_number(text, interface->reclaimable[i]);
		busy += line_number(text, interface->busy[i]);
	}
	*ret = files > busy ? files - busy : 0;
	return 0;
}

/* -ENOENT where no controller limits anything at this level. */
static int level_room(const struct interface *interface, int directory, struct cgroup_room *ret)
{
	uint64_t limit, used, reclaimable;
	int r = control_number(directory, interface->limit, &limit);

	if (r == 0 && limit == CGROUP_UNLIMITED)
		return -ENOENT;
	if (r == 0)
		r = control_number(directory, interface->usage, &used);
	if (r == 0)
		r = reclaimable_in(interface, directory, &reclaimable);
	if (r < 0)
		return r;
	used -= used < reclaimable ? used : reclaimable;
	*ret = (struct cgroup_room){used < limit ? limit - used : 0, limit, used};
	return 0;
}

/* -ENOENT at the top of what is mounted. */
static int open_parent(int directory, int *ret_parent)
{
	cleanup_fd int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat here, above;

	if (parent < 0)
		return -errno;
	if (fstat(directory, &here) < 0 || fstat(parent, &above) < 0)
		return -errno;
	if (here.st_dev != above.st_dev || here.st_ino == above.st_ino)
		return -ENOENT;
	*ret_parent = parent;
	parent = -1; /* handed over */
	return 0;
}

/* The next directory above that counts what this one uses; closes this one. */
static int climb(const struct cgroup *cgroup, int *directory)
{
	uint64_t hierarchical = 1;
	int parent, r = open_parent(*directory, &parent);

	if (r < 0)
		return r;
	fd_close(*directory);
	*directory = parent;
	/* Before Linux 5.11, v1 left that to each. */
	if (!cgroup->unified)
		control_number(parent, "memory.use_hierarchy", &hierarchical);
	return hierarchical ? 0 : -ENOENT;
}

int cgroup_usage(const struct cgroup *cgroup, uint64_t *ret)
{
	return control_number(cgroup->directory, interface_of(cgroup)->usage, ret);
}

int cgroup_room(const struct cgroup *cgroup, struct cgroup_room *ret)
{
	struct cgroup_room least = {CGROUP_UNLIMITED, CGROUP_UNLIMITED, 0}, room;
	cleanup_fd int directory = fcntl(cgroup->directory, F_DUPFD_CLOEXEC, 0);
	int r = directory < 0 ? -errno : check_present(cgroup);

	while (r == 0) {
		r = level_room(interface_of(cgroup), directory, &room);
		if (r == 0 && room.bytes < least.bytes)
			least = room;
		if (r == 0 || r == -ENOENT)
			r = climb(cgroup, &directory);
	}
	if (r != -ENOENT)
		return r;
	*ret = least;
	return 0;
}

/*
 * In the unified hierarchy a cgroup may have no memory controller of its own: it is then part of
 * the next above that has one. memory.events.local is there since Linux 5.2.
 */
int cgroup_oom_kills(const struct cgroup *cgroup, uint64_t *ret_count)
{
	cleanup_fd int directory = fcntl(cgroup->directory, F_DUPFD_CLOEXEC, 0);
	char text[CONTROL_FILE_SIZE];
	int r = directory < 0 ? -errno : check_present(cgroup);

	if (r < 0)
		return r;
	while ((r = control_read(directory, interface_of(cgroup)->kills, text)) == -ENOENT) {
		r = climb(cgroup, &directory);
		if (r < 0)
			break;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_count = r == 0 ? line_number(text, "oom_kill") : 0;
	return 0;
}

/* Entering it */

int cgroup_open_entrance(const struct cgroup *cgroup, int *ret_fd)
{
	int fd = openat(cgroup->directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	*ret_fd = fd;
	return 0;
}

int cgroup_enter(int entrance)
{
	static const char myself[] = "0";

	return write(entrance, myself, strlen(myself)) < 0 ? -errno : 0;
}
