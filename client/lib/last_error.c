/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last error of each thread. See last_error.h.
 */
#include "client/lib/last_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gmem.h"
#include "protocol/json.h"
#include "protocol/text.h"

/* JSON-RPC's, for errors that gmemd gives no code. */
#define LIBRARY_CODE -32000

#define ERROR_BYTES_MAX   8192
#define MESSAGE_BYTES_MAX 1024

/* As JSON and as a sentence for people, and what this library itself looks at. */
struct last_error {
	char text[ERROR_BYTES_MAX];
	char message[MESSAGE_BYTES_MAX];
	struct last_error_details details;
};

static __thread struct last_error last = {.text = "{}", .details.pause_ms = -1};

const char *gmem_last_error(void)
{
	return last.text;
}

const char *gmem_last_message(void)
{
	return last.message;
}

const struct last_error_details *last_error_details(void)
{
	return &last.details;
}

void last_error_clear(void)
{
	strcpy(last.text, "{}");
	last.message[0] = '\0';
	last.details = (struct last_error_details){.pause_ms = -1};
}

static void copy_detail(const struct json_object *data, const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%s", json_get_string(data, name));
}

static void remember_details(const struct json_object *data)
{
	struct last_error_details *details = &last.details;
	uint64_t pause;

	copy_detail(data, "reason", details->reason, sizeof details->reason);
	copy_detail(data, "what", details->what, sizeof details->what);
	copy_detail(data, "with", details->with, sizeof details->with);
	copy_detail(data, "vm", details->vm, sizeof details->vm);
	json_get_uint(data, "id", &details->id);
	if (json_get_uint(data, "retry_after_ms", &pause))
		details->pause_ms = pause < INT64_MAX ? (int64_t)pause : INT64_MAX;
}

/* False where there is no room for it. */
static bool remember_text(struct json_object *error)
{
	size_t length;
	const char *text = json_print(error, &length);

	if (!text || length >= sizeof last.text)
		return false;
	strcpy(last.text, text);
	return true;
}

/* One that is too long is known by its sentence. */
static void remember_sentence(const char *message)
{
	struct json_object *sentence = json_new_object();
	char valid[MESSAGE_BYTES_MAX];

	text_copy(message, valid, sizeof valid);
	json_add_string(sentence, "message", valid);
	remember_text(sentence);
	json_unref(sentence);
}

static void remember(struct json_object *error)
{
	const char *message = json_get_string(error, "message");

	last_error_clear();
	text_copy_printable(message, last.message, sizeof last.message);
	if (remember_text(error))
		remember_details(json_get(error, "data"));
	else
		remember_sentence(message);
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
	if (r < 0 && strcmp(last.text, "{}") == 0)
		last_error_own(r, "%s: %s", what, strerror(-r));
	return r;
}

struct last_error *last_error_save(void)
{
	struct last_error *saved = malloc(sizeof *saved);

	if (saved)
		*saved = last;
	return saved;
}

void last_error_restore(struct last_error *take_saved)
{
	if (take_saved)
		last = *take_saved;
	free(take_saved);
}
