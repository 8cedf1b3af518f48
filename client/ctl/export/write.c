/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing an exported file. See export.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/ctl/export/export.h"
#include "kernel/base/cleanup.h"

static int write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, text, length);

		if (written < 0)
			return -errno;
		text += written;
		length -= (size_t)written;
	}
	return fchmod(fd, 0644) < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Beside it, with a dot before its name: what is read of a folder passes over such files. */
static int next_path(const char *path, char ret[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash + 1 - path) : 0;
	int length = snprintf(ret, PATH_MAX, "%.*s.%s.XXXXXX", folder, path, path + folder);

	return length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int export_write(const char *path, const char *text, size_t length)
{
	char next[PATH_MAX];
	cleanup_fd int fd = -1;
	int r = next_path(path, next);

	if (r < 0)
		return r;
	fd = mkostemp(next, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, length);
	if (r == 0 && rename(next, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(next);
	return r;
}
