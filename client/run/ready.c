/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling that the VM runs. See ready.h.
 */
#include "client/run/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "protocol/json.h"
#include "protocol/packet.h"

/* As sd_notify_barrier(3) is called with. */
#define BARRIER_MS 5000

static const char subscribe[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\"}";
static const char list[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.list\",\"params\":{}}";

static int connect_to(const char *path, int type, int *ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	cleanup_fd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (length >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* abstract */
	length += offsetof(struct sockaddr_un, sun_path) + (path[0] != '@');
	if (connect(fd, (struct sockaddr *)&address, (socklen_t)length) < 0)
		return -errno;
	*ret = fd;
	fd = -1; /* handed over */
	return 0;
}

/* What a message says of the VM: it runs, or it will not any more. */
enum news { NEWS_NONE, NEWS_RUNS, NEWS_OVER };

static enum news news_of_event(const struct json_object *event)
{
	const char *kind = json_get_string(event, "kind");

	if (kind && strcmp(kind, "vm_running") == 0)
		return NEWS_RUNS;
	return kind && strcmp(kind, "vm_released") == 0 ? NEWS_OVER : NEWS_NONE;
}

static enum news news_of_list(const struct json_object *vms)
{
	for (size_t i = 0; i < json_length(vms); i++) {
		const char *state = json_get_string(json_at(vms, i), "state");

		if (state && strcmp(state, "running") == 0)
			return NEWS_RUNS;
	}
	return NEWS_NONE;
}

static enum news read_news(const struct packet *packet)
{
	const char *why;
	struct json_object *message = json_parse(packet->bytes, packet->length, &why);
	enum news news = NEWS_NONE;

	if (json_get(message, "params"))
		news = news_of_event(json_get(message, "params"));
	else if (json_get(message, "result"))
		news = news_of_list(json_get(json_get(message, "result"), "vms"));
	json_unref(message);
	return news;
}

/* What gmemd sends whom it does not know any more, or nobody does, ends it. */
static bool await_running(int gmemd)
{
	static struct packet packet;
	enum news news = NEWS_NONE;

	if (packet_send(gmemd, 0, subscribe, sizeof subscribe - 1, NULL, 0) < 0 ||
		packet_send(gmemd, 0, list, sizeof list - 1, NULL, 0) < 0)
		return false;
	while (news == NEWS_NONE) {
		if (packet_receive(gmemd, 0, &packet) < 0)
			return false;
		news = read_news(&packet);
		fd_list_close(&packet.fds);
	}
	return news == NEWS_RUNS;
}

/* The service manager takes it as read when it closes what comes with it. Of a process that has
 * ended meanwhile it could not tell whose the message is. */
static void await_read(int manager)
{
	static const char barrier[] = "BARRIER=1";
	struct pollfd event = {.events = 0};
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	packet_send(manager, 0, barrier, sizeof barrier - 1, &ends[1], 1);
	close(ends[1]);
	event.fd = ends[0];
	poll(&event, 1, BARRIER_MS);
}

static void tell_ready(const char *notify_socket)
{
	static const char state[] = "READY=1\nSTATUS=The VM runs";
	int manager;

	if (connect_to(notify_socket, SOCK_DGRAM, &manager) < 0)
		return;
	if (packet_send(manager, 0, state, sizeof state - 1, NULL, 0) == 0)
		await_read(manager);
}

/* It has nothing else that is the VMM's. */
static int keep_alone(int fd)
{
	if (fd != STDERR_FILENO + 1 && dup2(fd, STDERR_FILENO + 1) < 0)
		return -errno;
	return close_range(STDERR_FILENO + 2, ~0u, 0) < 0 ? -errno : STDERR_FILENO + 1;
}

/* No child of the VMM's, which may not expect one. */
static void watch_apart(int gmemd, const char *notify_socket)
{
	if (fork() != 0)
		_exit(EXIT_SUCCESS);
	gmemd = keep_alone(gmemd);
	if (gmemd >= 0 && await_running(gmemd))
		tell_ready(notify_socket);
	_exit(EXIT_SUCCESS);
}

int ready_watch(const char *gmemd_socket)
{
	const char *notify_socket = getenv("NOTIFY_SOCKET");
	cleanup_fd int gmemd = -1;
	pid_t child;
	int r;

	if (!notify_socket)
		return 0;
	r = connect_to(gmemd_socket, SOCK_SEQPACKET, &gmemd);
	if (r < 0)
		return r;
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		watch_apart(gmemd, notify_socket);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	unsetenv("NOTIFY_SOCKET");
	return 0;
}
