/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of methods as an OpenRPC 1.2 document, for rpc.discover. The whole of it must fit into
 * a packet: there, what answers and events have is brief.
 */
#include <stdio.h>

#include "protocol/event_kinds.h"
#include "protocol/json.h"
#include "protocol/methods.h"

static const enum rpc_code all_errors[] = {RPC_PARSE_ERROR, RPC_INVALID_REQUEST,
	RPC_METHOD_NOT_FOUND, RPC_INVALID_PARAMS, RPC_INTERNAL_ERROR, RPC_NOT_FOUND,
	RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_CONFLICT, RPC_UNSUPPORTED, RPC_KERNEL, RPC_BUSY,
	RPC_LIMIT, RPC_CONFIGURATION, RPC_PINNED, RPC_GONE};

static void add_parameters(struct json_object *target, const struct field *fields)
{
	struct json_object *parameters = json_add_array(target, "params");

	for (const struct field *field = fields; field->name; field++) {
		struct json_object *parameter = json_append_object(parameters);

		json_add_string(parameter, "name", field->name);
		json_add_bool(parameter, "required", !(field->flags & FIELD_OPTIONAL));
		json_add(parameter, "schema", field_schema(field, SCHEMA_FULL));
	}
}

static void add_errors(struct json_object *target, const enum rpc_code *errors)
{
	struct json_object *references = json_add_array(target, "errors");

	for (; *errors != RPC_OK; errors++) {
		char reference[64];

		snprintf(
			reference, sizeof reference, "#/components/errors/%s", rpc_reason(*errors));
		json_add_string(json_append_object(references), "$ref", reference);
	}
}

static void add_sockets(struct json_object *target, unsigned access)
{
	struct json_object *sockets = json_add_array(target, "x-sockets");

	if (access & ACCESS_VMM)
		json_append_string(sockets, "gmemd.sock");
	if (access & ACCESS_OPERATOR)
		json_append_string(sockets, "admin.sock");
}

static void add_method(
	struct json_object *target, const struct method *method, enum schema_detail detail)
{
	struct json_object *result;

	json_add_string(target, "name", method->name);
	json_add_string(target, "summary", method->summary);
	json_add_string(target, "paramStructure", "by-name");
	add_sockets(target, method->access);
	add_parameters(target, method->parameters);
	result = json_add_object(target, "result");
	json_add_string(result, "name", "result");
	json_add(result, "schema", fields_schema(method->result, detail));
	add_errors(target, method->errors);
}

static void add_all_errors(struct json_object *target)
{
	struct json_object *errors = json_add_object(target, "errors");

	for (size_t i = 0; i < sizeof all_errors / sizeof *all_errors; i++) {
		const char *reason = rpc_reason(all_errors[i]);
		struct json_object *error = json_add_object(errors, reason);

		json_add_int(error, "code", rpc_code_sent(all_errors[i]));
		json_add_string(error, "message", reason);
	}
}

/* Where there are references to them. */
static void add_shared_schemas(struct json_object *target)
{
	struct json_object *schemas = json_add_object(target, "schemas");

	for (const struct shared_schema *shared = shared_schemas; shared->name; shared++)
		json_add(schemas, shared->name, fields_schema(shared->fields, SCHEMA_BRIEF));
}

/* OpenRPC has no word for notifications that a server sends. */
static void add_events(struct json_object *target, enum schema_detail detail)
{
	struct json_object *events = json_add_object(target, "x-events");
	struct json_object *kinds;

	json_add_string(events, "method", "event");
	json_add(events, "params", fields_schema(event_fields, detail));
	kinds = json_add_object(events, "kinds");
	for (unsigned kind = 0; kind < EVENT_KINDS; kind++) {
		const struct event_description *description = &event_descriptions[kind];
		struct json_object *object = json_add_object(kinds, description->kind);

		json_add_string(object, "summary", description->summary);
		json_add(object, "params", fields_schema(description->fields, detail));
	}
}

static void add_progress(struct json_object *target, enum schema_detail detail)
{
	struct json_object *progress = json_add_object(target, "x-progress");

	json_add_string(progress, "method", "progress");
	json_add(progress, "params", fields_schema(progress_fields, detail));
}

static void add_methods(struct json_object *target, const struct method *only)
{
	struct json_object *list = json_add_array(target, "methods");

	if (only)
		add_method(json_append_object(list), only, SCHEMA_FULL);
	for (unsigned number = 0; !only && number < METHODS; number++)
		add_method(json_append_object(list), &methods[number], SCHEMA_BRIEF);
}

struct json_object *openrpc_document(const char *version, const struct method *only)
{
	enum schema_detail detail = only ? SCHEMA_FULL : SCHEMA_BRIEF;
	struct json_object *document = json_new_object();
	struct json_object *info, *components;

	json_add_string(document, "openrpc", "1.2.6");
	info = json_add_object(document, "info");
	json_add_string(info, "title", "gmemd");
	json_add_string(info, "version", version);
	add_methods(document, only);
	add_events(document, detail);
	add_progress(document, detail);
	components = json_add_object(document, "components");
	add_all_errors(components);
	if (!only)
		add_shared_schemas(components);
	return document;
}
