/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing a file without losing the error that led there.
 */
#include "kernel/base/cleanup.h"

#include <errno.h>

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}
