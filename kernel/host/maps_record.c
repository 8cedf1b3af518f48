/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of /proc/PID/maps. See maps_record.h.
 */
#include "kernel/host/maps_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

bool maps_record_parse(const char *line, struct maps_record *ret)
{
	unsigned major_number, minor_number;
	uint64_t inode;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &ret->start,
		    &ret->end, ret->permissions, &ret->offset, &major_number, &minor_number,
		    &inode) != 7)
		return false;
	ret->file = (struct file_identity){makedev(major_number, minor_number), inode};
	return true;
}
