/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening sockets. See listen_socket.h.
 */
#include "daemon/base/listen_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "kernel/base/cleanup.h"

int listen_sockets_take_passed(
	void (*take)(const char *name, int take_fd, void *context), void *context)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(/* unset_environment= */ 1, &names);

	for (int i = 0; i < count; i++) {
		take(names[i], SD_LISTEN_FDS_START + i, context);
		free(names[i]);
	}
	free(names);
	return count < 0 ? count : 0;
}

bool listen_socket_is(int fd)
{
	return sd_is_socket_unix(fd, SOCK_SEQPACKET, /* listening= */ 1, NULL, 0) > 0;
}

int listen_socket_bind(const struct sockaddr_un *address, int *ret_fd)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1; /* handed over */
	return 0;
}
