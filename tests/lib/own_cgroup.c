/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cgroups of tests. See own_cgroup.h.
 */
#include "tests/lib/own_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

static const char *limit_name(const struct own_cgroup *own)
{
	return own->cgroup.unified ? "memory.max" : "memory.limit_in_bytes";
}

static bool make(const char *parent, const char *name, bool unified, struct own_cgroup *ret)
{
	int length = snprintf(ret->path, sizeof ret->path, "%s/%s-%d", parent, name, getpid());

	ret->cgroup = (struct cgroup){.unified = unified, .directory = -1};
	if (length < 0 || (size_t)length >= sizeof ret->path)
		return false;
	if (mkdir(ret->path, 0755) < 0)
		return false;
	ret->cgroup.directory = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (faccessat(ret->cgroup.directory, limit_name(ret), W_OK, 0) == 0)
		return true;
	own_cgroup_end(ret);
	return false;
}

bool own_cgroup_or_skip(const char *name, struct own_cgroup *ret)
{
	char link[64], parent[PATH_MAX - 64];
	struct cgroup own;
	ssize_t length = -1;

	if (cgroup_own(&own) == 0) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", own.directory);
		length = readlink(link, parent, sizeof parent - 1);
		cgroup_release(&own);
	}
	if (length > 0) {
		parent[length] = '\0';
		if (make(parent, name, own.unified, ret))
			return true;
	}
	unit_skip("no memory cgroup can be made here");
	return false;
}

bool own_cgroup_child(const struct own_cgroup *parent, const char *name, struct own_cgroup *ret)
{
	return make(parent->path, name, parent->cgroup.unified, ret);
}

/* Who was just killed may still be on the way out. */
void own_cgroup_remove(const struct own_cgroup *own)
{
	for (int attempt = 0; rmdir(own->path) < 0 && errno == EBUSY && attempt < 1000; attempt++)
		usleep(10000);
}

void own_cgroup_end(struct own_cgroup *own)
{
	cgroup_release(&own->cgroup);
	own_cgroup_remove(own);
	CU_ASSERT_NOT_EQUAL(access(own->path, F_OK), 0);
}

bool own_cgroup_limit(const struct own_cgroup *own, uint64_t bytes)
{
	cleanup_fd int fd = openat(own->cgroup.directory, limit_name(own), O_WRONLY | O_CLOEXEC);
	char text[32];
	int length = snprintf(text, sizeof text, "%" PRIu64, bytes);

	return write(fd, text, (size_t)length) == length;
}

uint64_t own_cgroup_usage(const struct own_cgroup *own)
{
	const char *name = own->cgroup.unified ? "memory.current" : "memory.usage_in_bytes";
	cleanup_fd int fd = openat(own->cgroup.directory, name, O_RDONLY | O_CLOEXEC);
	char text[32] = "";
	uint64_t usage = UINT64_MAX;

	if (read(fd, text, sizeof text - 1) > 0)
		sscanf(text, "%" SCNu64, &usage);
	return usage;
}

struct member {
	int entrance;
	int ready[2];
};

static void sit(void *context)
{
	struct member *member = context;

	CU_ASSERT_EQUAL(cgroup_enter(member->entrance), 0);
	(void)!write(member->ready[1], "", 1);
	while (true)
		pause();
}

void own_cgroup_start_member(const struct own_cgroup *own, struct unit_child *ret)
{
	struct member member = {.entrance = -1};
	char byte;

	CU_ASSERT_EQUAL_FATAL(cgroup_open_entrance(&own->cgroup, &member.entrance), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(member.ready, O_CLOEXEC), 0);
	unit_child_start(ret, sit, &member);
	close(member.ready[1]);
	CU_ASSERT_EQUAL(read(member.ready[0], &byte, 1), 1);
	close(member.ready[0]);
	close(member.entrance);
}
