/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notified: what a service manager hears by sd_notify(3). Serves at PATH and prints each message's
 * lines until it is ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char message[4096];
	ssize_t length;

	if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
		fputs("Usage: notified PATH\n", stderr);
		return 2;
	}
	strcpy(address.sun_path, argv[1]);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	while ((length = recv(fd, message, sizeof message, 0)) >= 0) {
		printf("%.*s\n", (int)length, message);
		fflush(stdout);
	}
	return EXIT_FAILURE;
}
