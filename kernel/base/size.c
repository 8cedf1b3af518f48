/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes as people write them. See size.h.
 */
#include "kernel/base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int size_parse(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	uint64_t number;
	unsigned shift;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0)
		return -errno;
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (*end && (!suffix || end[1] != '\0'))
		return -EINVAL;
	shift = suffix ? (unsigned)(suffix - suffixes + 1) * 10 : 0;
	if (number << shift >> shift != number)
		return -ERANGE;
	*ret = number << shift;
	return 0;
}
