/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The errors that an answer can carry. See error.h.
 */
#include "protocol/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/json.h"

/* Linux's errnos end well below. */
#define ERRNO_MAX 4095

const char *rpc_reason(enum rpc_code code)
{
	switch (code) {
	case RPC_PARSE_ERROR:
		return "parse_error";
	case RPC_INVALID_REQUEST:
		return "invalid_request";
	case RPC_METHOD_NOT_FOUND:
		return "method_not_found";
	case RPC_INVALID_PARAMS:
		return "invalid_params";
	case RPC_INTERNAL_ERROR:
		return "internal_error";
	case RPC_NOT_FOUND:
		return "not_found";
	case RPC_NOT_PERMITTED:
		return "not_permitted";
	case RPC_BUDGET_EXCEEDED:
		return "budget_exceeded";
	case RPC_CONFLICT:
		return "conflict";
	case RPC_UNSUPPORTED:
		return "unsupported";
	case RPC_KERNEL:
		return "kernel";
	case RPC_BUSY:
		return "busy";
	case RPC_GONE:
		return "gone";
	case RPC_LIMIT:
		return "limit";
	case RPC_CONFIGURATION:
		return "configuration";
	case RPC_PINNED:
		return "pinned";
	case RPC_OK:
		break;
	}
	return NULL;
}

int rpc_code_sent(enum rpc_code code)
{
	bool is_busy = code == RPC_LIMIT || code == RPC_CONFIGURATION || code == RPC_PINNED;

	return is_busy ? RPC_BUSY : code;
}

void rpc_error_clear(struct rpc_error *error)
{
	json_unref(error->data);
	*error = (struct rpc_error){.code = RPC_OK};
}

/* What a peer wrote, short enough to be said back: cut between characters of UTF-8. */
struct quote {
	char text[65];
};

static struct quote quote(const char *text)
{
	size_t length = strnlen(text, sizeof((struct quote *)NULL)->text);
	struct quote result;

	if (length == sizeof result.text) {
		length--;
		while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(result.text, text, length);
	result.text[length] = '\0';
	return result;
}

/* One that is cut says so, and is not cut inside a character. */
__attribute__((format(printf, 2, 0))) static void print_message(
	struct rpc_error *error, const char *format, va_list arguments)
{
	static const char cut[] = "...";
	int length = vsnprintf(error->message, sizeof error->message, format, arguments);
	size_t at = sizeof error->message - sizeof cut;

	if (length < 0 || (size_t)length < sizeof error->message)
		return;
	while (at > 0 && (error->message[at] & 0xc0) == 0x80)
		at--;
	memcpy(error->message + at, cut, sizeof cut);
}

__attribute__((format(printf, 3, 4))) static int fill(
	struct rpc_error *error, enum rpc_code code, const char *format, ...)
{
	va_list arguments;

	rpc_error_clear(error);
	error->code = code;
	va_start(arguments, format);
	print_message(error, format, arguments);
	va_end(arguments);
	error->data = json_new_object();
	json_add_string(error->data, "reason", rpc_reason(code));
	return code;
}

void rpc_error_describe(struct rpc_error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(error, format, arguments);
	va_end(arguments);
}

void rpc_error_detail_string(struct rpc_error *error, const char *name, const char *value)
{
	json_add_string(error->data, name, quote(value).text);
}

void rpc_error_detail_uint(struct rpc_error *error, const char *name, uint64_t value)
{
	json_add_uint(error->data, name, value);
}

int rpc_error_parse(struct rpc_error *error, const char *why)
{
	return fill(error, RPC_PARSE_ERROR, "The packet is no JSON: %s.", why);
}

int rpc_error_invalid_request(struct rpc_error *error, const char *why)
{
	return fill(error, RPC_INVALID_REQUEST, "This is no JSON-RPC 2.0 request: %s.", why);
}

int rpc_error_too_large(struct rpc_error *error, const char *why, uint64_t limit)
{
	fill(error, RPC_INVALID_REQUEST, "%s; the limit is %" PRIu64 ".", why, limit);
	rpc_error_detail_uint(error, "limit", limit);
	return error->code;
}

int rpc_error_method_not_found(struct rpc_error *error, const char *method)
{
	fill(error, RPC_METHOD_NOT_FOUND, "There is no method \"%s\".", quote(method).text);
	rpc_error_detail_string(error, "method", method);
	return error->code;
}

int rpc_error_invalid_param(struct rpc_error *error, const char *param, const char *expected)
{
	fill(error, RPC_INVALID_PARAMS, "%s must be %s.", quote(param).text, expected);
	rpc_error_detail_string(error, "param", param);
	json_add_string(error->data, "expected", expected);
	return error->code;
}

int rpc_error_internal(struct rpc_error *error, const char *why)
{
	return fill(error, RPC_INTERNAL_ERROR, "gmemd failed: %s.", why);
}

int rpc_error_not_found(struct rpc_error *error, const char *what, const char *id)
{
	fill(error, RPC_NOT_FOUND, "There is no %s \"%s\".", what, quote(id).text);
	rpc_error_detail_string(error, "what", what);
	rpc_error_detail_string(error, "id", id);
	return error->code;
}

int rpc_error_not_found_number(struct rpc_error *error, const char *what, uint64_t id)
{
	fill(error, RPC_NOT_FOUND, "There is no %s %" PRIu64 ".", what, id);
	rpc_error_detail_string(error, "what", what);
	rpc_error_detail_uint(error, "id", id);
	return error->code;
}

int rpc_error_not_permitted(struct rpc_error *error, const char *missing)
{
	fill(error, RPC_NOT_PERMITTED, "That is not permitted; what is missing: %s.", missing);
	json_add_string(error->data, "missing", missing);
	return error->code;
}

int rpc_error_budget_exceeded(struct rpc_error *error, const char *scope, uint64_t limit,
	uint64_t committed, uint64_t promised, uint64_t requested)
{
	uint64_t available = limit > committed ? limit - committed : 0;

	fill(error, RPC_BUDGET_EXCEEDED,
		"%" PRIu64 " bytes more would pass the limit of the %s: %" PRIu64 " of %" PRIu64
		" are committed, %" PRIu64 " of them by promises; %" PRIu64 " would fit.",
		requested, scope, committed, limit, promised, available);
	rpc_error_detail_string(error, "scope", scope);
	rpc_error_detail_uint(error, "limit", limit);
	rpc_error_detail_uint(error, "committed", committed);
	rpc_error_detail_uint(error, "promised", promised);
	rpc_error_detail_uint(error, "available", available);
	rpc_error_detail_uint(error, "requested", requested);
	return error->code;
}

int rpc_error_no_huge_pages(struct rpc_error *error, const char *scope, uint64_t page_size,
	uint64_t total, uint64_t free_pages, uint64_t reserved, uint64_t requested)
{
	uint64_t available = free_pages > reserved ? free_pages - reserved : 0;

	fill(error, RPC_BUDGET_EXCEEDED,
		"%" PRIu64 " huge pages of %" PRIu64 " bytes are more than the %s has: of %" PRIu64
		" in all %" PRIu64 " are free, and %" PRIu64 " of those reserved.",
		requested / page_size, page_size, scope, total, free_pages, reserved);
	rpc_error_detail_string(error, "scope", scope);
	rpc_error_detail_uint(error, "limit", total * page_size);
	rpc_error_detail_uint(error, "committed", (total - available) * page_size);
	rpc_error_detail_uint(error, "promised", reserved * page_size);
	rpc_error_detail_uint(error, "available", available * page_size);
	rpc_error_detail_uint(error, "requested", requested);
	rpc_error_detail_uint(error, "page_size", page_size);
	rpc_error_detail_uint(error, "total", total);
	rpc_error_detail_uint(error, "free", free_pages);
	rpc_error_detail_uint(error, "reserved", reserved);
	return error->code;
}

int rpc_error_conflict(struct rpc_error *error, const char *with, const char *message)
{
	fill(error, RPC_CONFLICT, "%s.", message);
	rpc_error_detail_string(error, "with", with);
	return error->code;
}

int rpc_error_unsupported(
	struct rpc_error *error, const char *capability, const char *kernel_release)
{
	fill(error, RPC_UNSUPPORTED, "This host lacks %s (kernel %s).", capability, kernel_release);
	json_add_string(error->data, "capability", capability);
	rpc_error_detail_string(error, "kernel", kernel_release);
	return error->code;
}

int rpc_error_kernel(struct rpc_error *error, int number, const char *call)
{
	const char *name = strerrorname_np(number);

	fill(error, RPC_KERNEL, "%s: %s.", call, strerrordesc_np(number));
	rpc_error_detail_string(error, "errno", name ? name : "unknown");
	rpc_error_detail_string(error, "call", call);
	return error->code;
}

int rpc_error_busy(struct rpc_error *error, const char *why, uint64_t retry_after_ms)
{
	fill(error, RPC_BUSY, "%s.", why);
	if (retry_after_ms > 0)
		rpc_error_detail_uint(error, "retry_after_ms", retry_after_ms);
	return error->code;
}

int rpc_error_limit(struct rpc_error *error, const char *why, const char *name, uint64_t value,
	const char *scope)
{
	fill(error, RPC_LIMIT, "%s; %s is %" PRIu64 ".", why, name, value);
	rpc_error_detail_string(error, "limit", name);
	rpc_error_detail_uint(error, "value", value);
	rpc_error_detail_string(error, "scope", scope);
	return error->code;
}

int rpc_error_configuration(struct rpc_error *error, const char *file, uint64_t line,
	const char *setting, const char *told)
{
	fill(error, RPC_CONFIGURATION,
		"gmemd refuses all requests, for its configuration is wrong: %s.", told);
	json_add_string(error->data, "file", file);
	if (line > 0)
		rpc_error_detail_uint(error, "line", line);
	if (setting[0])
		rpc_error_detail_string(error, "setting", setting);
	return error->code;
}

int rpc_error_pinned(struct rpc_error *error, uint64_t memory, uint64_t offset)
{
	fill(error, RPC_PINNED,
		"Somebody holds the page at %" PRIu64 " of memory %" PRIu64
		", which can't be converted meanwhile.",
		offset, memory);
	rpc_error_detail_uint(error, "memory", memory);
	rpc_error_detail_uint(error, "offset", offset);
	return error->code;
}

int rpc_error_gone(struct rpc_error *error, const char *what, const char *id)
{
	fill(error, RPC_GONE, "The %s \"%s\" has been released.", what, quote(id).text);
	rpc_error_detail_string(error, "what", what);
	rpc_error_detail_string(error, "id", id);
	return error->code;
}

int rpc_error_gone_number(struct rpc_error *error, const char *what, uint64_t id)
{
	fill(error, RPC_GONE, "The %s %" PRIu64 " has been released.", what, id);
	rpc_error_detail_string(error, "what", what);
	rpc_error_detail_uint(error, "id", id);
	return error->code;
}

struct json_object *rpc_error_value(const struct rpc_error *error)
{
	struct json_object *value = json_new_object();

	json_add_int(value, "code", rpc_code_sent(error->code));
	json_add_string(value, "message", error->message);
	if (!error->data)
		return json_unref(value);
	json_add(value, "data", json_ref(error->data));
	return value;
}

int errno_by_name(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} aliases[] = {
		{"ENOTSUP", ENOTSUP}, {"EWOULDBLOCK", EWOULDBLOCK}, {"EDEADLOCK", EDEADLOCK}};

	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
		if (strcmp(aliases[i].name, name) == 0)
			return aliases[i].number;
	}
	for (int number = 1; number <= ERRNO_MAX; number++) {
		const char *candidate = strerrorname_np(number);

		if (candidate && strcmp(candidate, name) == 0)
			return number;
	}
	return 0;
}
