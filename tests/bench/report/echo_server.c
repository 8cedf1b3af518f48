/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * echo_server: the least that a daemon with libevent and json-c would do: each packet is parsed,
 * its method looked at, and answered by an object that is made for it and printed. It checks
 * nothing.
 */
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct peer {
	struct event *event;
};

static void answer(int socket, struct json_object *request)
{
	struct json_object *id = json_object_object_get(request, "id");
	const char *method = json_object_get_string(json_object_object_get(request, "method"));
	struct json_object *response = json_object_new_object();
	const char *text;

	json_object_object_add(response, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(response, "id", json_object_get(id));
	if (method && strcmp(method, "ping") == 0)
		json_object_object_add(response, "result", json_object_new_object());
	text = json_object_to_json_string_ext(response, JSON_C_TO_STRING_PLAIN);
	send(socket, text, strlen(text), MSG_NOSIGNAL);
	json_object_put(response);
}

static void receive(evutil_socket_t socket, short what, void *context)
{
	struct peer *peer = context;
	char bytes[65537];
	ssize_t length = recv(socket, bytes, sizeof bytes - 1, MSG_DONTWAIT);
	struct json_object *request;

	(void)what;
	if (length < 0 && errno == EAGAIN)
		return;
	if (length <= 0) {
		event_free(peer->event);
		free(peer);
		close(socket);
		return;
	}
	bytes[length] = 0;
	request = json_tokener_parse(bytes);
	answer(socket, request);
	json_object_put(request);
}

static void accept_peer(evutil_socket_t listener, short what, void *context)
{
	int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct peer *peer = socket < 0 ? NULL : calloc(1, sizeof *peer);

	(void)what;
	if (!peer)
		return;
	peer->event = event_new(context, socket, EV_READ | EV_PERSIST, receive, peer);
	event_add(peer->event, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct event_base *base = event_base_new();
	struct event *event;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s PATH\n", argv[0]);
		return 2;
	}
	snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
		listen(listener, 128) < 0) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	event = event_new(base, listener, EV_READ | EV_PERSIST, accept_peer, base);
	event_add(event, NULL);
	event_base_dispatch(base);
	return EXIT_SUCCESS;
}
