/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last error of each thread. See last_error.h.
 */
#include "client/lib/last_error.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/gmem.h"
#include "protocol/json.h"
#include "protocol/text.h"

/* JSON-RPC's, for errors that gmemd gives no code. */
#define LIBRARY_CODE -32000

#define ERROR_BYTES_MAX   8192
#define MESSAGE_BYTES_MAX 1024

static __thread char last_error[ERROR_BYTES_MAX] = "{}";
static __thread char last_message[MESSAGE_BYTES_MAX];

const char *gmem_last_error(void)
{
	return last_error;
}

static struct json_object *parse(void)
{
	const char *why;

	return json_parse(last_error, strlen(last_error), &why);
}

const char *gmem_last_message(void)
{
	struct json_object *error = parse();

	text_copy_printable(json_get_string(error, "message"), last_message, sizeof last_message);
	json_unref(error);
	return last_message;
}

void last_error_clear(void)
{
	strcpy(last_error, "{}");
}

/* One that is too long is known by its sentence. */
static void remember(struct json_object *error)
{
	struct json_object *sentence;
	char message[MESSAGE_BYTES_MAX];
	size_t length;
	const char *text = json_print(error, &length);

	if (text && length < sizeof last_error) {
		strcpy(last_error, text);
		return;
	}
	last_error_clear();
	text_copy(json_get_string(error, "message"), message, sizeof message);
	sentence = json_new_object();
	json_add_string(sentence, "message", message);
	text = json_print(sentence, &length);
	if (text && length < sizeof last_error)
		strcpy(last_error, text);
	json_unref(sentence);
}

int last_error_of_gmemd(struct json_object *error)
{
	remember(error);
	return -EREMOTEIO;
}

int last_error_own(int r, const char *format, ...)
{
	struct json_object *error = json_new_object(), *data;
	char message[MESSAGE_BYTES_MAX], valid[MESSAGE_BYTES_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	text_copy(message, valid, sizeof valid);
	json_add_int(error, "code", LIBRARY_CODE);
	json_add_string(error, "message", valid);
	data = json_add_object(error, "data");
	json_add_string(data, "reason", "library");
	json_add_string(data, "errno", strerrorname_np(-r));
	remember(error);
	json_unref(error);
	return r;
}

int last_error_complete(int r, const char *what)
{
	if (r < 0 && strcmp(last_error, "{}") == 0)
		last_error_own(r, "%s: %s", what, strerror(-r));
	return r;
}

char *last_error_save(void)
{
	return strdup(last_error);
}

void last_error_restore(char *take_saved)
{
	if (take_saved)
		strcpy(last_error, take_saved);
	free(take_saved);
}

void last_error_detail(const char *name, char *ret, size_t size)
{
	struct json_object *error = parse();

	snprintf(ret, size, "%s", json_get_string(json_get(error, "data"), name));
	json_unref(error);
}

long last_error_pause(void)
{
	struct json_object *error = parse();
	uint64_t pause;
	bool asked = json_get_uint(json_get(error, "data"), "retry_after_ms", &pause);

	json_unref(error);
	if (!asked)
		return -1;
	return pause < LONG_MAX ? (long)pause : LONG_MAX;
}
