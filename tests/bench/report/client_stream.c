/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients of streams: D-Bus and QMP, with nothing but the bytes that their protocols want.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/report/client.h"

struct stream {
	int socket;
	size_t length; /* received and not consumed */
	char bytes[65536];
};

static int stream_connect(const char *path, struct stream **ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stream *stream = calloc(1, sizeof *stream);

	if (!stream)
		return -ENOMEM;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	stream->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (stream->socket < 0 ||
		connect(stream->socket, (struct sockaddr *)&address, sizeof address) < 0) {
		int r = -errno;

		free(stream);
		return r;
	}
	*ret = stream;
	return 0;
}

static void stream_disconnect(void *client)
{
	struct stream *stream = client;

	close(stream->socket);
	free(stream);
}

static int stream_send(struct stream *stream, const void *bytes, size_t length)
{
	return send(stream->socket, bytes, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -EPIPE;
}

static int stream_receive(struct stream *stream)
{
	ssize_t r = recv(stream->socket, stream->bytes + stream->length,
		sizeof stream->bytes - stream->length, 0);

	if (r <= 0)
		return r < 0 ? -errno : -ECONNRESET;
	stream->length += (size_t)r;
	return 0;
}

static void stream_consume(struct stream *stream, size_t length)
{
	stream->length -= length;
	memmove(stream->bytes, stream->bytes + length, stream->length);
}

/* Consumes lines up to one that has this text. */
static int await_line(struct stream *stream, const char *text)
{
	for (;;) {
		char *end = memchr(stream->bytes, '\n', stream->length);
		size_t length = end ? (size_t)(end - stream->bytes) + 1 : 0;
		bool found = end && memmem(stream->bytes, length, text, strlen(text));
		int r;

		if (end)
			stream_consume(stream, length);
		if (found)
			return 0;
		r = end ? 0 : stream_receive(stream);
		if (r < 0)
			return r;
	}
}

/* QMP */

static int qmp_ask(struct stream *stream, const char *command)
{
	int r = stream_send(stream, command, strlen(command));

	return r < 0 ? r : await_line(stream, "\"return\"");
}

static int qmp_connect(const char *address, const char *request, unsigned number, void **ret_client)
{
	struct stream *stream = NULL;
	char path[108];
	int r;

	(void)request;
	snprintf(path, sizeof path, "%.90s%u", address, number);
	r = stream_connect(path, &stream);
	if (r == 0)
		r = await_line(stream, "\"QMP\"");
	if (r == 0)
		r = qmp_ask(stream, "{\"execute\":\"qmp_capabilities\"}\n");
	*ret_client = stream;
	return r;
}

static int qmp_exchange(void *client)
{
	return qmp_ask(client, "{\"execute\":\"query-status\"}\n");
}

/* D-Bus: a message is a header, an array of fields that is padded to 8 bytes, and a body. */

enum { METHOD_CALL = 1, METHOD_RETURN, ERROR };
enum { FIELD_PATH = 1, FIELD_INTERFACE, FIELD_MEMBER, FIELD_DESTINATION = 6 };

struct dbus_header {
	uint8_t order, type, flags, version;
	uint32_t body, serial, fields;
};

static size_t padded(size_t length)
{
	return (length + 7) & ~(size_t)7;
}

static size_t put_field(char *at, char code, char type, const char *value)
{
	uint32_t length = (uint32_t)strlen(value);
	const char signature[4] = {code, 1, type, 0};

	memcpy(at, signature, sizeof signature);
	memcpy(at + 4, &length, sizeof length);
	memcpy(at + 8, value, length + 1);
	return padded(8 + length + 1);
}

/* Of a call of the bus itself, without arguments. The last field's padding is the header's. */
static size_t write_call(char *ret, const char *interface, const char *member)
{
	struct dbus_header header = {'l', METHOD_CALL, 0, 1, 0, 1, 0};
	size_t length = sizeof header;

	length += put_field(ret + length, FIELD_PATH, 'o', "/org/freedesktop/DBus");
	length += put_field(ret + length, FIELD_DESTINATION, 's', "org.freedesktop.DBus");
	length += put_field(ret + length, FIELD_INTERFACE, 's', interface);
	header.fields = (uint32_t)(length - sizeof header + 8 + strlen(member) + 1);
	length += put_field(ret + length, FIELD_MEMBER, 's', member);
	memcpy(ret, &header, sizeof header);
	return length;
}

/* Signals come between: what is no answer is passed over. */
static int dbus_await_answer(struct stream *stream)
{
	for (;;) {
		struct dbus_header header = {.type = 0};
		size_t length = sizeof header;
		int r;

		memcpy(&header, stream->bytes, sizeof header);
		if (stream->length >= sizeof header)
			length = padded(sizeof header + header.fields) + header.body;
		if (length > sizeof stream->bytes)
			return -EMSGSIZE;
		if (stream->length < length || length == sizeof header) {
			r = stream_receive(stream);
			if (r < 0)
				return r;
			continue;
		}
		stream_consume(stream, length);
		if (header.type == ERROR)
			return -EPROTO;
		if (header.type == METHOD_RETURN)
			return 0;
	}
}

static int dbus_call(struct stream *stream, const char *interface, const char *member)
{
	char message[512] = "";
	size_t length = write_call(message, interface, member);
	int r = stream_send(stream, message, length);

	return r < 0 ? r : dbus_await_answer(stream);
}

/* EXTERNAL has the user's number as text, in hexadecimal digits of its characters. */
static int dbus_authenticate(struct stream *stream)
{
	char number[16], line[80] = "";
	int length = 0, r;

	snprintf(number, sizeof number, "%u", getuid());
	length = snprintf(line, sizeof line, "%cAUTH EXTERNAL ", 0);
	for (const char *digit = number; *digit; digit++)
		length += snprintf(line + length, sizeof line - (size_t)length, "%02x", *digit);
	length += snprintf(line + length, sizeof line - (size_t)length, "\r\n");
	r = stream_send(stream, line, (size_t)length);
	if (r == 0)
		r = await_line(stream, "OK ");
	return r < 0 ? r : stream_send(stream, "BEGIN\r\n", 7);
}

static int dbus_connect(
	const char *address, const char *request, unsigned number, void **ret_client)
{
	struct stream *stream = NULL;
	int r = stream_connect(address, &stream);

	(void)request;
	(void)number;
	if (r == 0)
		r = dbus_authenticate(stream);
	if (r == 0)
		r = dbus_call(stream, "org.freedesktop.DBus", "Hello");
	*ret_client = stream;
	return r;
}

static int dbus_exchange(void *client)
{
	return dbus_call(client, "org.freedesktop.DBus.Peer", "Ping");
}

const struct client_kind client_qmp = {"qmp", NULL, qmp_connect, qmp_exchange, stream_disconnect};
const struct client_kind client_dbus = {
	"dbus", NULL, dbus_connect, dbus_exchange, stream_disconnect};
