/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmem-run hands its VMM. See environment.h.
 */
#include "client/lib/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

int environment_number(const char *variable, uint64_t *ret)
{
	const char *text = getenv(variable);
	uint64_t number;
	char *end;

	if (!text)
		return -ENOENT;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0')
		return -EINVAL;
	*ret = number;
	return 0;
}

int environment_take_fd(const char *variable, int *ret_fd)
{
	uint64_t number;
	int r;

	r = environment_number(variable, &number);
	if (r < 0)
		return r == -ENOENT ? r : -EBADF;
	if (number > INT_MAX || fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0)
		return -EBADF;
	unsetenv(variable);
	*ret_fd = (int)number;
	return 0;
}
