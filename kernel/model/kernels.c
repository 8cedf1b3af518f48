/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which kernel the model plays: what versions differ in. See model.h.
 */
#include <errno.h>
#include <stdio.h>

#include "kernel/model/model.h"

/* What a version says, until a later row says otherwise. */
static const struct {
	unsigned major, minor;
	int overlapping_offsets;
	bool end_first;
} kernels[] = {
	{6, 18, EINVAL, false},
	{7, 2, EEXIST, false},
	{7, 3, EEXIST, true},
};

int model_rules_of_kernel(const char *release, struct model_rules *rules)
{
	unsigned major, minor;

	if (sscanf(release, "%u.%u", &major, &minor) != 2)
		return -EINVAL;
	for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
		if (i > 0 && (major < kernels[i].major ||
				     (major == kernels[i].major && minor < kernels[i].minor)))
			break;
		rules->overlapping_offsets = kernels[i].overlapping_offsets;
		rules->guest_end_first = kernels[i].end_first;
	}
	return 0;
}
