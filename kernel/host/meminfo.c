/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's and its nodes' memory. See meminfo.h.
 */
#include "kernel/host/meminfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define NODES_FOLDER "/sys/devices/system/node"
#define TEXT_MAX     4096 /* both kinds of meminfo have what is read here well before */

static bool parse_number(const char **text, uint64_t *ret)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*ret = strtoull(*text, &end, 10);
	*text = end;
	return errno == 0;
}

/* name: with its colon. Before it is a line's beginning or, in a node's file, "Node 0 ". */
static const char *find_field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	while (at && at != text && at[-1] != '\n' && at[-1] != ' ')
		at = strstr(at + 1, name);
	return at ? at + strlen(name) : NULL;
}

static int parse_field(const char *text, const char *name, uint64_t *ret)
{
	const char *value = find_field(text, name);
	uint64_t kibibytes, bytes;

	if (!value)
		return -EBADMSG;
	value += strspn(value, " ");
	if (!parse_number(&value, &kibibytes) || strncmp(value, " kB", 3) != 0 ||
		__builtin_mul_overflow(kibibytes, UINT64_C(1024), &bytes))
		return -EBADMSG;
	*ret = bytes;
	return 0;
}

int meminfo_parse(const char *text, struct meminfo *ret)
{
	struct meminfo meminfo;

	if (parse_field(text, "MemTotal:", &meminfo.total) < 0 ||
		parse_field(text, "MemFree:", &meminfo.free) < 0 ||
		parse_field(text, "MemAvailable:", &meminfo.available) < 0)
		return -EBADMSG;
	*ret = meminfo;
	return 0;
}

int meminfo_parse_node(const char *text, struct meminfo *ret)
{
	uint64_t active, inactive, slab;
	struct meminfo meminfo;

	if (parse_field(text, "MemTotal:", &meminfo.total) < 0 ||
		parse_field(text, "MemFree:", &meminfo.free) < 0 ||
		parse_field(text, "Active(file):", &active) < 0 ||
		parse_field(text, "Inactive(file):", &inactive) < 0 ||
		parse_field(text, "SReclaimable:", &slab) < 0)
		return -EBADMSG;
	meminfo.available = meminfo.free + active / 2 + inactive / 2 + slab / 2;
	*ret = meminfo;
	return 0;
}

static int open_file(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int meminfo_open(int *ret_fd)
{
	return open_file("/proc/meminfo", ret_fd);
}

int meminfo_open_node(unsigned node, int *ret_fd)
{
	char path[sizeof NODES_FOLDER + 32];

	snprintf(path, sizeof path, NODES_FOLDER "/node%u/meminfo", node);
	return open_file(path, ret_fd);
}

static int read_text(int fd, char text[TEXT_MAX])
{
	ssize_t length = pread(fd, text, TEXT_MAX - 1, 0);

	if (length < 0)
		return -errno;
	text[length] = '\0';
	return 0;
}

int meminfo_read(int fd, struct meminfo *ret)
{
	char text[TEXT_MAX];
	int r = read_text(fd, text);

	return r < 0 ? r : meminfo_parse(text, ret);
}

int meminfo_read_node(int fd, struct meminfo *ret)
{
	char text[TEXT_MAX];
	int r = read_text(fd, text);

	return r < 0 ? r : meminfo_parse_node(text, ret);
}

/* One number or two with a dash between, and what separates them from the next. */
static int parse_nodes_range(const char **text, struct ranges *nodes)
{
	uint64_t first, last;

	if (!parse_number(text, &first))
		return -EBADMSG;
	last = first;
	if (**text == '-') {
		(*text)++;
		if (!parse_number(text, &last) || last < first)
			return -EBADMSG;
	}
	if (**text == ',')
		(*text)++;
	else if (strcmp(*text, "\n") != 0 && **text != '\0')
		return -EBADMSG;
	return ranges_add(nodes, first, last - first + 1);
}

int meminfo_parse_nodes(const char *text, struct ranges *nodes)
{
	int r = 0;

	while (r == 0 && *text != '\0' && *text != '\n')
		r = parse_nodes_range(&text, nodes);
	return r;
}

int meminfo_node_line(unsigned node, const char *name, char *ret, size_t size)
{
	char path[sizeof NODES_FOLDER + 32], text[TEXT_MAX];
	cleanup_fd int fd = -1;
	size_t length;
	int r;

	snprintf(path, sizeof path, NODES_FOLDER "/node%u/%s", node, name);
	r = open_file(path, &fd);
	if (r == 0)
		r = read_text(fd, text);
	if (r < 0)
		return r;
	length = strcspn(text, "\n");
	if (length >= size)
		return -ENAMETOOLONG;
	memcpy(ret, text, length);
	ret[length] = '\0';
	return 0;
}

int meminfo_nodes(struct ranges *nodes)
{
	cleanup_fd int fd = -1;
	char text[TEXT_MAX];
	int r = open_file(NODES_FOLDER "/has_memory", &fd);

	if (r == 0)
		r = read_text(fd, text);
	return r < 0 ? r : meminfo_parse_nodes(text, nodes);
}
