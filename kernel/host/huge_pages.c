/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Huge pages. See huge_pages.h.
 */
#include "kernel/host/huge_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define HOST_FOLDER "/sys/kernel/mm/hugepages"
#define NODE_FOLDER "/sys/devices/system/node/node%u/hugepages"

static int read_number(const char *folder, uint64_t page_size, const char *name, uint64_t *ret)
{
	cleanup_fd int fd = -1;
	char path[PATH_MAX], text[32], *end;
	ssize_t length;

	snprintf(
		path, sizeof path, "%s/hugepages-%" PRIu64 "kB/%s", folder, page_size / 1024, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, text, sizeof text - 1);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\n' ? 0 : -EBADMSG;
}

static int read_pages(const char *folder, uint64_t page_size, struct huge_pages *ret)
{
	int r = read_number(folder, page_size, "nr_hugepages", &ret->total);

	return r == 0 ? read_number(folder, page_size, "free_hugepages", &ret->free) : r;
}

int huge_pages_read(uint64_t page_size, struct huge_pages *ret)
{
	struct huge_pages pages = {.total = 0};
	int r = read_pages(HOST_FOLDER, page_size, &pages);

	if (r == 0)
		r = read_number(HOST_FOLDER, page_size, "resv_hugepages", &pages.reserved);
	if (r == 0)
		*ret = pages;
	return r;
}

int huge_pages_read_node(uint64_t page_size, unsigned node, struct huge_pages *ret)
{
	struct huge_pages pages = {.total = 0};
	char folder[sizeof NODE_FOLDER + 16];
	int r;

	snprintf(folder, sizeof folder, NODE_FOLDER, node);
	r = read_pages(folder, page_size, &pages);
	if (r == 0)
		*ret = pages;
	return r;
}
