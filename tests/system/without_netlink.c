/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * without_netlink PROGRAM ARGUMENT...: executes it where no netlink socket can be made, as
 * RestrictAddressFamilies= of systemd's does.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (argc < 2 || !filter)
		return 2;
	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_EQ, AF_NETLINK)) < 0 ||
		seccomp_load(filter) < 0)
		return 2;
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
