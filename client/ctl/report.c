/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl's errors. See report.h.
 */
#include "client/ctl/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/ctl/text.h"
#include "client/gmem.h"
#include "protocol/error.h"
#include "protocol/json.h"
#include "protocol/text.h"

#define MESSAGE_SIZE 1024

/* An error of our own, in the shape of gmemd's. It has no code, for that is gmemd's to give. */
static struct json_object *error_new(const char *reason, const char *message)
{
	struct json_object *error = json_new_object();

	json_add_string(error, "message", message);
	json_add_string(json_add_object(error, "data"), "reason", reason);
	return error;
}

static bool print_detail(const char *name, struct json_object *value, void *context)
{
	(void)context;
	if (strcmp(name, "reason") == 0)
		return true;
	if (json_is_array(value)) {
		for (size_t i = 0; i < json_length(value); i++)
			print_detail(name, json_at(value, i), NULL);
		return true;
	}
	fprintf(stderr, "  %s: %s\n", name,
		json_is_string(value) ? json_string(value) : json_print(value, NULL));
	return true;
}

static void print_error(const struct ctl *ctl, struct json_object *take_error)
{
	struct json_object *data = json_get(take_error, "data");
	char message[2 * MESSAGE_SIZE];

	if (ctl->json) {
		print_json(stderr, take_error);
	} else {
		/* What it says of may be what somebody has typed. */
		text_copy_printable(
			json_get_string(take_error, "message"), message, sizeof message);
		fprintf(stderr, "gmemctl: %s\n", message);
		if (json_is_object(data))
			json_each(data, print_detail, NULL);
	}
	json_unref(take_error);
}

enum ctl_status report_usage(const struct ctl *ctl, const char *format, ...)
{
	char message[MESSAGE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	print_error(ctl, error_new("usage", message));
	return CTL_USAGE;
}

static enum ctl_status report_socket(const struct ctl *ctl, const char *reason, const char *what)
{
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof message, "%s: %s", ctl->socket, what);
	print_error(ctl, error_new(reason, message));
	return CTL_REFUSED;
}

enum ctl_status report_connect(const struct ctl *ctl, int r)
{
	switch (-r) {
	case ENAMETOOLONG:
		return report_usage(ctl, "%s: too long for a socket's path", ctl->socket);
	case EACCES:
	case EPERM:
		return report_socket(ctl, "not_permitted", "this user may not connect");
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return report_system(ctl, "connecting", r);
	default:
		report_socket(ctl, "no_daemon", "no gmemd serves there");
		return CTL_NO_DAEMON;
	}
}

static struct json_object *last_error(const struct ctl *ctl)
{
	const char *text = gmem_last_error(), *why;
	struct json_object *error = json_parse(text, strlen(text), &why);

	return error && !ctl->json ? json_make_printable(error) : error;
}

int64_t last_error_code(const struct ctl *ctl)
{
	struct json_object *error = last_error(ctl);
	int64_t code = 0;

	json_get_int(error, "code", &code);
	json_unref(error);
	return code;
}

enum ctl_status report_call(const struct ctl *ctl, int r)
{
	int64_t code = last_error_code(ctl);

	if (r == -ECONNRESET || r == -EPIPE) {
		report_socket(ctl, "no_daemon", code == 0 ? "gmemd is gone" : gmem_last_message());
		return CTL_NO_DAEMON;
	}
	if (code == 0)
		return report_system(ctl, "calling gmemd", r);
	print_error(ctl, last_error(ctl));
	return code == RPC_NOT_FOUND ? CTL_NOT_FOUND : CTL_REFUSED;
}

enum ctl_status report_system(const struct ctl *ctl, const char *what, int r)
{
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof message, "%s: %s", what, strerror(-r));
	print_error(ctl, error_new("system", message));
	return CTL_REFUSED;
}

enum ctl_status report_no_bridge(const struct ctl *ctl, const char *path)
{
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof message,
		"%s: gmemd-libvirt has written nothing there; does it run?", path);
	print_error(ctl, error_new("no_daemon", message));
	return CTL_NO_DAEMON;
}

enum ctl_status report_answer(const struct ctl *ctl, const char *what)
{
	print_error(ctl, error_new("protocol", what));
	return CTL_REFUSED;
}

void report_waiting(const struct ctl *ctl, bool given_up, const char *message)
{
	print_error(ctl, error_new(given_up ? "no_daemon" : "waiting", message));
}

/* By the path that gmemd has bound, whatever led there. */
static bool is_vmm_socket(int fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t length = sizeof address - 1;
	const char *name;

	if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
		return false;
	name = strrchr(address.sun_path, '/');
	return strcmp(name ? name + 1 : address.sun_path, "gmemd.sock") == 0;
}

void report_own_view(const struct ctl *ctl)
{
	if (!ctl->json && ctl->gmem && is_vmm_socket(gmem_fd(ctl->gmem)))
		fputs("gmemctl: gmemd.sock shows a VMM its own VM alone; admin.sock shows all "
		      "VMs\n",
			stderr);
}

void report_gap(const struct ctl *ctl, uint64_t lost)
{
	struct json_object *error;
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof message, "%" PRIu64 " event%s lost", lost,
		lost == 1 ? " was" : "s were");
	error = error_new("gap", message);
	json_add_uint(json_get(error, "data"), "lost", lost);
	print_error(ctl, error);
}
