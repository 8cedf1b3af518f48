/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The errors that an answer can carry: one code and reason each, and what the data of each says.
 *
 * Each constructor fills in the error and returns its code, so that a handler can end with
 * `return rpc_error_…(error, …)`. An error owns its data: rpc_error_clear().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct json_object;

enum rpc_code {
	RPC_OK = 0,
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_NOT_FOUND = -32001,
	RPC_NOT_PERMITTED = -32002,
	RPC_BUDGET_EXCEEDED = -32003,
	RPC_CONFLICT = -32004,
	RPC_UNSUPPORTED = -32005,
	RPC_KERNEL = -32006,
	RPC_BUSY = -32007,
	RPC_GONE = -32008,
	/* Are sent as RPC_BUSY, with reasons of their own. */
	RPC_LIMIT = -32107,
	RPC_CONFIGURATION = -32207,
	RPC_PINNED = -32307,
};

struct rpc_error {
	enum rpc_code code;
	char message[256]; /* one sentence for a person */
	struct json_object *data;
};

/* The reason's name ("not_found"); NULL for a code that has none. */
const char *rpc_reason(enum rpc_code code);
/* What is sent for it: two reasons may share a code. */
int rpc_code_sent(enum rpc_code code);

void rpc_error_clear(struct rpc_error *error);

int rpc_error_parse(struct rpc_error *error, const char *why);
int rpc_error_invalid_request(struct rpc_error *error, const char *why);
/* A packet or batch that is larger than the transport has it; data.limit is what it may be. */
int rpc_error_too_large(struct rpc_error *error, const char *why, uint64_t limit);
int rpc_error_method_not_found(struct rpc_error *error, const char *method);
/* expected completes the sentence "PARAM must be …". */
int rpc_error_invalid_param(struct rpc_error *error, const char *param, const char *expected);
int rpc_error_internal(struct rpc_error *error, const char *why);
/* what: the kind of thing ("vm", "memory", "slot", "call"). */
int rpc_error_not_found(struct rpc_error *error, const char *what, const char *id);
int rpc_error_not_found_number(struct rpc_error *error, const char *what, uint64_t id);
/* missing: the right, in words. */
int rpc_error_not_permitted(struct rpc_error *error, const char *missing);
/* scope: vm, tenant, node, host. */
/* promised: how much of what is committed is promised and need not be charged yet. */
int rpc_error_budget_exceeded(struct rpc_error *error, const char *scope, uint64_t limit,
	uint64_t committed, uint64_t promised, uint64_t requested);
/* The same for huge pages, of which there are so many in all, so many of them free, and so many of
 * those reserved. requested: bytes. */
int rpc_error_no_huge_pages(struct rpc_error *error, const char *scope, uint64_t page_size,
	uint64_t total, uint64_t free_pages, uint64_t reserved, uint64_t requested);
/*
 * with: the kind of thing that is in the way; the identity of it is data's member of that name, if
 * rpc_error_detail_… adds one.
 */
int rpc_error_conflict(struct rpc_error *error, const char *with, const char *message);
int rpc_error_unsupported(
	struct rpc_error *error, const char *capability, const char *kernel_release);
/* number: an errno, positive. */
int rpc_error_kernel(struct rpc_error *error, int number, const char *call);
/* retry_after_ms: 0 where not known. */
int rpc_error_busy(struct rpc_error *error, const char *why, uint64_t retry_after_ms);
/*
 * What is asked for would be more than may be. name: the limit's, as gmemd.conf has it; scope:
 * whose limit it is: vm, user, tenant, host. why: a sentence without its full stop.
 */
int rpc_error_limit(struct rpc_error *error, const char *why, const char *name, uint64_t value,
	const char *scope);
/* A page of the memory is held by somebody, a vhost-user back end say, and can't be converted. */
int rpc_error_pinned(struct rpc_error *error, uint64_t memory, uint64_t offset);
/* gmemd can't serve with it. line: 0 where it is the file as a whole; setting: "" for none; told:
 * all of it in one text. */
int rpc_error_configuration(struct rpc_error *error, const char *file, uint64_t line,
	const char *setting, const char *told);
int rpc_error_gone(struct rpc_error *error, const char *what, const char *id);
int rpc_error_gone_number(struct rpc_error *error, const char *what, uint64_t id);

/* Says it in a sentence of the caller's, in the place of the error's own. */
__attribute__((format(printf, 2, 3))) void rpc_error_describe(
	struct rpc_error *error, const char *format, ...);

/* Add a member to data; a string that is long is cut. */
void rpc_error_detail_string(struct rpc_error *error, const char *name, const char *value);
void rpc_error_detail_uint(struct rpc_error *error, const char *name, uint64_t value);

/* {"code":…, "message":…, "data":{"reason":…, …}}. */
struct json_object *rpc_error_value(const struct rpc_error *error);

/* An errno by its name ("EINVAL"); 0 where no errno has that name. */
int errno_by_name(const char *name);
