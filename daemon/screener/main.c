/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-screener: has the connections whose queues may hold files, so that gmemd has not.
 *
 * Who drops the last reference to a file may wait for ever, for whoever made it. Peers can't send
 * files to gmemd, but those who connected before it saw to that have been able to. This accepts
 * them, gives gmemd those without files, unread, and ends with the rest, which it may hang in,
 * alone. It has one end of a pair of sockets and nothing else of gmemd's.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/capabilities.h"
#include "daemon/base/fd_packet.h"
#include "daemon/screener/protocol.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/passrights.h"
#include "kernel/host/process.h"
#include "kernel/host/process_start.h"

/* More than the end of a gmemd takes that has much to close. */
#define GMEMD_ENDS_MS 10000

/* With too many files on their way, or no memory to send one. */
#define TRIES_MAX 20
#define PAUSE_MS  50

static int tell_gmemd(enum screener_word word, int fd)
{
	const char byte = (char)word;
	int r = fd_packet_send(SCREENER_SOCKET, &byte, 1, &fd, fd >= 0);

	for (unsigned i = 0; fd_packet_is_short(r) && i < TRIES_MAX; i++) {
		poll(NULL, 0, PAUSE_MS);
		r = fd_packet_send(SCREENER_SOCKET, &byte, 1, &fd, fd >= 0);
	}
	return r;
}

/* One that can't be given back ends with this process. */
static int give_back(int connection)
{
	int r = tell_gmemd(SCREENER_HARMLESS, connection);

	if (r == 0)
		fd_close(connection);
	return r;
}

/* Until one comes that could not send files: after that all are gmemd's to accept. Nothing that may
 * have files is closed; where gmemd is gone no more are accepted. */
static void screen_listener(int listener)
{
	struct pollfd waiting = {.fd = listener, .events = POLLIN};
	bool could = true;
	int r = 0;

	while (could && r != -EPIPE && r != -ECONNRESET && poll(&waiting, 1, 0) > 0) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (connection < 0)
			return;
		if (passrights_withdraw_from_peer(connection, &could) == 0)
			r = give_back(connection);
	}
}

/* *keeps: it has files that gmemd has as well, unless that has said that it is done. */
static int serve_gmemd(bool *keeps)
{
	struct fd_packet packet;
	char word;
	int r = fd_packet_receive(SCREENER_SOCKET, &word, 1, &packet);

	if (r < 0)
		return r;
	if (word == SCREENER_FAREWELL) {
		*keeps = false;
		return -ECONNRESET;
	}
	if (packet.n_fds != 1)
		return -EBADMSG;
	if (word == SCREENER_LISTENER) {
		screen_listener(packet.fds[0]);
		fd_packet_clear(&packet);
	} else {
		*keeps = true;
	}
	return tell_gmemd(SCREENER_DONE, -1);
}

/* A gmemd that ends closes what it has handed over as well; it must not be the last. */
static void outlive_gmemd(int gmemd)
{
	struct pollfd event = {.fd = gmemd, .events = POLLIN};

	poll(&event, 1, GMEMD_ENDS_MS);
}

int main(void)
{
	int r = process_start(PROCESS_DAEMON);
	struct process gmemd = {.pidfd = -1};
	bool keeps = false;

	/* By the socket: the parent may be another by now. */
	if (r == 0)
		r = process_of_socket(SCREENER_SOCKET, &gmemd);
	if (r == 0)
		r = capabilities_give_up();
	while (r == 0)
		r = serve_gmemd(&keeps);
	if (keeps)
		outlive_gmemd(gmemd.pidfd);
	_exit(r == -ECONNRESET || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE);
}
