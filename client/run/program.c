/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program is. See program.h.
 */
#include "client/run/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define DEFAULT_PATH "/bin:/usr/bin"

/* Of a path, up to the next colon; the empty one is this folder. */
static void join(const char *folder, size_t length, const char *name, char *ret, size_t size)
{
	if (length == 0)
		snprintf(ret, size, "./%s", name);
	else
		snprintf(ret, size, "%.*s/%s", (int)length, folder, name);
}

static bool is_executable(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static int search(const char *path, const char *name, char *ret, size_t size)
{
	int r = -ENOENT;

	for (;;) {
		size_t length = strcspn(path, ":");

		join(path, length, name, ret, size);
		if (is_executable(ret))
			return 0;
		if (access(ret, F_OK) == 0)
			r = -EACCES;
		if (path[length] == '\0')
			return r;
		path += length + 1;
	}
}

int program_find(const char *name, char *ret, size_t size)
{
	const char *path = getenv("PATH");

	if (!strchr(name, '/'))
		return search(path ? path : DEFAULT_PATH, name, ret, size);
	snprintf(ret, size, "%s", name);
	if (is_executable(name))
		return 0;
	return access(name, F_OK) == 0 ? -EACCES : -errno;
}

static bool read_at(int fd, uint64_t offset, void *ret, size_t size)
{
	return pread(fd, ret, size, (off_t)offset) == (ssize_t)size;
}

/* The path of its loader; "" where it names none. False for what is not of this machine. */
static bool read_interpreter(int fd, char *ret, size_t size)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	ret[0] = '\0';
	if (!read_at(fd, 0, &header, sizeof header) || header.e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (!read_at(fd, header.e_phoff + i * (uint64_t)header.e_phentsize, &segment,
			    sizeof segment))
			return false;
		if (segment.p_type != PT_INTERP || segment.p_filesz > size)
			continue;
		if (!read_at(fd, segment.p_offset, ret, segment.p_filesz))
			return false;
		ret[segment.p_filesz - 1] = '\0';
	}
	return true;
}

static const char *elf_obstacle(int fd)
{
	char interpreter[PATH_MAX];

	if (!read_interpreter(fd, interpreter, sizeof interpreter))
		return "it is a program of another machine or of 32 bits: nothing can be preloaded "
		       "into it";
	if (interpreter[0] == '\0')
		return "it is linked statically, so that nothing can be preloaded into it: run a "
		       "dynamically linked build, or one that uses libgmem, without --shim";
	if (!strstr(interpreter, "/ld-linux"))
		return "its C library is not glibc, which the preloaded library needs: run a build "
		       "for glibc, or one that uses libgmem, without --shim";
	return NULL;
}

/* By execve(2) the caller's real user would have to be root to keep LD_PRELOAD. */
static bool has_effective_capabilities(const char *path)
{
	struct vfs_ns_cap_data capabilities;
	ssize_t size = getxattr(path, "security.capability", &capabilities, sizeof capabilities);

	return size >= (ssize_t)sizeof capabilities.magic_etc && getuid() != 0 &&
	       (capabilities.magic_etc & VFS_CAP_FLAGS_EFFECTIVE);
}

static const char *file_obstacle(int fd)
{
	char magic[SELFMAG];

	/* A script: its interpreter is executed, and looks after what that starts. */
	if (!read_at(fd, 0, magic, sizeof magic) || memcmp(magic, ELFMAG, SELFMAG) != 0)
		return NULL;
	return elf_obstacle(fd);
}

const char *program_obstacle(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (has_effective_capabilities(path))
		return "it has file capabilities, for whose sake the loader preloads nothing into "
		       "it: take them away (setcap -r), or run a copy without them";
	/* What can be executed and not read is left to tell itself. */
	return fd < 0 ? NULL : file_obstacle(fd);
}

bool program_is_setuid(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 &&
	       (((status.st_mode & S_ISUID) && status.st_uid != getuid()) ||
		       ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) &&
			       status.st_gid != getgid()));
}
