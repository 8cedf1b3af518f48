/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of /proc/PID/maps and smaps: the line that begins each mapping of a process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/host/memory_file.h"

struct maps_record {
	uint64_t start, end, offset;
	char permissions[5]; /* "rw-s" */
	struct file_identity file;
};

/* False where the line is none. Reference: proc_pid_maps(5). */
bool maps_record_parse(const char *line, struct maps_record *ret);
