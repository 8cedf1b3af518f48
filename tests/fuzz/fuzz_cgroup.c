/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory cgroups: where a process's is, by the texts of /proc, and what its files say.
 *
 * An input is a kind, then texts with a NUL behind each: 0, a process's cgroups and the mounts; 1,
 * a cgroup's files.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/host/cgroup.h"
#include "tests/fuzz/fuzz.h"

static void try_locate(struct fuzz_input *input)
{
	char *cgroups = fuzz_text(input), *mounts = fuzz_text(input);
	struct cgroup_location location;

	if (cgroup_locate(cgroups, mounts, &location) == 0)
		FUZZ_CHECK(strlen(location.path) < sizeof location.path);
	free(cgroups);
	free(mounts);
}

static char folder[] = "/dev/shm/gmemd-fuzz-XXXXXX";

static void remove_folder(void)
{
	static const char *const names[] = {"cgroup.procs", "memory.max", "memory.current",
		"memory.stat", "memory.events.local", "memory.limit_in_bytes",
		"memory.usage_in_bytes", "memory.oom_control"};
	int directory = open(folder, O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlinkat(directory, names[i], 0);
	close(directory);
	rmdir(folder);
}

/* Of this process, until its end. */
static int open_folder(void)
{
	static int directory = -1;

	if (directory >= 0)
		return directory;
	FUZZ_CHECK(mkdtemp(folder));
	atexit(remove_folder);
	directory = open(folder, O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(directory >= 0);
	return directory;
}

static void write_file(int directory, const char *name, const char *text)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void try_files(struct fuzz_input *input, bool unified)
{
	const struct cgroup cgroup = {.unified = unified, .directory = open_folder()};
	char *limit = fuzz_text(input), *usage = fuzz_text(input), *lines = fuzz_text(input);
	struct cgroup_room room;
	uint64_t kills;

	write_file(cgroup.directory, "cgroup.procs", "");
	write_file(cgroup.directory, unified ? "memory.max" : "memory.limit_in_bytes", limit);
	write_file(cgroup.directory, unified ? "memory.current" : "memory.usage_in_bytes", usage);
	write_file(cgroup.directory, "memory.stat", lines);
	write_file(cgroup.directory, unified ? "memory.events.local" : "memory.oom_control", lines);
	FUZZ_CHECK(cgroup_room(&cgroup, &room) == 0);
	FUZZ_CHECK(room.limit == CGROUP_UNLIMITED || room.bytes <= room.limit);
	FUZZ_CHECK(cgroup_oom_kills(&cgroup, &kills) == 0);
	free(limit);
	free(usage);
	free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	uint8_t kind = fuzz_byte(&input);

	if (kind % 2 == 0)
		try_locate(&input);
	else
		try_files(&input, kind & 2);
	return 0;
}
