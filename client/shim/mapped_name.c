/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Naming what is mapped. See mapped_name.h.
 */
#include "client/shim/mapped_name.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kernel/base/cleanup.h"

#define INSTEAD "for RAM of gmemd's write memory-backend-memfd,share=on or memory-backend-ram"

struct mapped {
	char permissions[5];
	char path[192]; /* "": anonymous */
};

static void read_line(const char *line, struct mapped *ret)
{
	*ret = (struct mapped){.path = ""};
	sscanf(line, "%*x-%*x %4s %*x %*x:%*x %*u %191[^\n]", ret->permissions, ret->path);
}

void mapped_name_of(const char *line, char *ret, size_t size)
{
	struct mapped mapped;
	bool shared;

	read_line(line, &mapped);
	shared = mapped.permissions[3] == 's';
	if (mapped.path[0] == '\0' || mapped.path[0] == '[')
		snprintf(ret, size, "anonymous memory");
	else if (strncmp(mapped.path, "/memfd:", 7) == 0 && !shared)
		snprintf(ret, size, "a private mapping of %s (share=off); " INSTEAD, mapped.path);
	else if (strncmp(mapped.path, "/dev/zero", 9) == 0)
		snprintf(ret, size,
			"shared anonymous memory (memory-backend-ram,share=on); " INSTEAD);
	else
		snprintf(ret, size, "a mapping of %s (memory-backend-file); " INSTEAD, mapped.path);
}

void mapped_name(uint64_t address, char *ret, size_t size)
{
	cleanup_file FILE *maps = fopen("/proc/self/maps", "re");
	cleanup_free char *line = NULL;
	uint64_t start, end;
	size_t room = 0;

	snprintf(ret, size, "what is mapped there can't be read");
	while (maps && getline(&line, &room, maps) > 0) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 && address >= start &&
			address < end) {
			mapped_name_of(line, ret, size);
			return;
		}
	}
}
