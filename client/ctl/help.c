/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl help: the verbs from their table, the methods from the protocol's.
 */
#include <stdio.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "protocol/description.h"
#include "protocol/json.h"
#include "protocol/methods.h"

static const struct column parameter_columns[] = {
	{"name", "NAME", TEXT_PLAIN},
	{"required", "REQUIRED", TEXT_PLAIN},
	{"expected", "MUST BE", TEXT_PLAIN},
	{"default", "DEFAULT", TEXT_PLAIN},
	{"summary", "WHAT IT IS", TEXT_PLAIN},
	{.member = NULL},
};

static const struct column result_columns[] = {
	{"name", "NAME", TEXT_PLAIN},
	{"required", "ALWAYS", TEXT_PLAIN},
	{"kind", "IS", TEXT_PLAIN},
	{"summary", "WHAT IT SAYS", TEXT_PLAIN},
	{.member = NULL},
};

static const struct column error_columns[] = {
	{"code", "CODE", TEXT_NUMBER},
	{"reason", "REASON", TEXT_PLAIN},
	{.member = NULL},
};

static struct json_object *row_of_field(
	struct json_object *rows, const char *name, const struct field *field)
{
	struct json_object *row = json_append_object(rows);

	json_add_string(row, "name", name);
	json_add_string(row, "required", field->flags & FIELD_OPTIONAL ? "no" : "yes");
	json_add_string(row, "summary", field->summary);
	return row;
}

static void add_parameter_row(const char *path, const struct field *field, void *context)
{
	struct json_object *row = row_of_field(context, path, field);
	char text[TEXT_SIZE];

	field_expectation(field, text, sizeof text);
	json_add_string(row, "expected", text);
	field_default(field, text, sizeof text);
	json_add_string(row, "default", text[0] ? text : NULL);
}

static struct json_object *parameter_rows(const struct field *fields)
{
	struct json_object *rows = json_new_array();

	fields_walk(fields, add_parameter_row, rows);
	return rows;
}

static void add_result_row(const char *path, const struct field *field, void *context)
{
	struct json_object *row = row_of_field(context, path, field);
	char text[TEXT_SIZE];

	field_kind(field, text, sizeof text);
	json_add_string(row, "kind", text);
}

static struct json_object *result_rows(const struct field *fields)
{
	struct json_object *rows = json_new_array();

	fields_walk(fields, add_result_row, rows);
	return rows;
}

static struct json_object *error_rows(const enum rpc_code *errors)
{
	struct json_object *rows = json_new_array(), *row;

	for (; *errors != RPC_OK; errors++) {
		row = json_append_object(rows);
		json_add_int(row, "code", rpc_code_sent(*errors));
		json_add_string(row, "reason", rpc_reason(*errors));
	}
	return rows;
}

static struct json_object *method_value(const struct method *method)
{
	struct json_object *value = json_new_object(), *sockets;

	json_add_string(value, "method", method->name);
	json_add_string(value, "summary", method->summary);
	sockets = json_add_array(value, "sockets");
	if (method->access & ACCESS_VMM)
		json_append_string(sockets, "gmemd.sock");
	if (method->access & ACCESS_OPERATOR)
		json_append_string(sockets, "admin.sock");
	json_add(value, "parameters", parameter_rows(method->parameters));
	json_add(value, "result", result_rows(method->result));
	json_add(value, "errors", error_rows(method->errors));
	return value;
}

static enum ctl_status print_method(const struct ctl *ctl, const struct json_object *value)
{
	static const struct {
		const char *member, *title;
		const struct column *columns;
	} parts[] = {
		{"parameters", "Parameters", parameter_columns},
		{"result", "Result", result_columns},
		{"errors", "Errors, besides those of any method", error_columns},
	};
	enum ctl_status status = CTL_DONE;
	char sockets[TEXT_SIZE];

	text_of_value(ctl, TEXT_NAMES, json_get(value, "sockets"), sockets, sizeof sockets);
	printf("method %s\n  %s\n  May be called on %s.\n", json_get_string(value, "method"),
		json_get_string(value, "summary"), sockets);
	for (size_t i = 0; status == CTL_DONE && i < sizeof parts / sizeof *parts; i++) {
		printf("\n%s:\n", parts[i].title);
		status = print_table(ctl, parts[i].columns, json_get(value, parts[i].member));
	}
	return status;
}

static struct json_object *verb_value(const struct verb *verb)
{
	struct json_object *value = json_new_object(), *options;

	json_add_string(value, "verb", verb->name);
	json_add_string(value, "arguments", verb->arguments);
	json_add_string(value, "summary", verb->summary);
	options = json_add_array(value, "options");
	for (const struct verb_option *option = verb_options; option->usage; option++) {
		if (verb->options & option->option)
			json_append_string(options, option->usage);
	}
	return value;
}

static struct json_object *option_value(const struct verb_option *option)
{
	struct json_object *value = json_new_object();

	json_add_string(value, "option", option->usage);
	json_add_string(value, "summary", option->summary);
	return value;
}

/* Where a field is in the result that a column shows. */
struct wanted {
	char path[64];
	const char *summary;
};

static void note_summary(const char *path, const struct field *field, void *context)
{
	struct wanted *wanted = context;

	if (strcmp(path, wanted->path) == 0)
		wanted->summary = field->summary;
}

static const char *summary_of(const struct table *table, const struct column *column)
{
	struct wanted wanted = {.summary = NULL};

	if (table->member && strcmp(column->member, table->member) == 0)
		return table->summary;
	snprintf(wanted.path, sizeof wanted.path, "%s[].%s", table->array, column->member);
	fields_walk(methods[table->method].result, note_summary, &wanted);
	return wanted.summary;
}

static struct json_object *column_rows(const struct table *table)
{
	struct json_object *rows = json_new_array(), *row;

	for (const struct column *column = table->columns; column->member; column++) {
		row = json_append_object(rows);
		json_add_string(row, "title", column->title);
		json_add_string(row, "summary", summary_of(table, column));
	}
	return rows;
}

static enum ctl_status print_tables(const struct ctl *ctl, const struct table *tables)
{
	static const struct column columns[] = {
		{"title", "COLUMN", TEXT_PLAIN},
		{"summary", "WHAT IT SAYS", TEXT_PLAIN},
		{.member = NULL},
	};
	enum ctl_status status = CTL_DONE;

	for (; status == CTL_DONE && tables && tables->columns; tables++) {
		struct json_object *rows = column_rows(tables);

		printf("\n%s:\n", tables->title);
		status = print_table(ctl, columns, rows);
		json_unref(rows);
	}
	return status;
}

static void print_verb(const struct verb *verb)
{
	printf("gmemctl [--socket=PATH] [--json] [--timeout=SECONDS]");
	for (const struct verb_option *option = verb_options; option->usage; option++) {
		if (verb->options & option->option)
			printf(" [%s]", option->usage);
	}
	printf(" %s%s%s\n  %s\n", verb->name, verb->arguments[0] ? " " : "", verb->arguments,
		verb->summary);
}

static void print_json_all(const struct ctl *ctl)
{
	struct json_object *value = json_new_object(), *list;

	list = json_add_array(value, "verbs");
	for (const struct verb *verb = verbs; verb->name; verb++)
		json_append(list, verb_value(verb));
	list = json_add_array(value, "options");
	for (const struct verb_option *option = verb_options; option->usage; option++)
		json_append(list, option_value(option));
	list = json_add_array(value, "methods");
	for (unsigned number = 0; number < METHODS; number++)
		json_append_string(list, methods[number].name);
	print_value(ctl, value);
	json_unref(value);
}

static void print_all(void)
{
	char usage[64];

	puts("Usage: gmemctl [--socket=PATH] [--json] [--timeout=SECONDS] VERB\n"
	     "The operators' way to gmemd.\n"
	     "\n"
	     "  --socket=PATH        gmemd's socket for operators (" CTL_DEFAULT_SOCKET ")\n"
	     "  --json               print raw results, and errors, as JSON\n"
	     "  --timeout=SECONDS    how long to wait for an answer (30); 0: for ever. The verbs\n"
	     "                       call, dump and prealloc may take longer\n"
	     "  --help, --version");
	puts("\nOf some verbs, as gmemctl help VERB says:");
	for (const struct verb_option *option = verb_options; option->usage; option++)
		printf("  %-20s %s\n", option->usage, option->summary);
	puts("\nVerbs:");
	for (const struct verb *verb = verbs; verb->name; verb++) {
		snprintf(usage, sizeof usage, "%s %s", verb->name, verb->arguments);
		printf("  %-20s %s\n", usage, verb->summary);
	}
	puts("\nMethods, for call and help:");
	for (unsigned number = 0; number < METHODS; number++)
		printf("  %-20s %s\n", methods[number].name, methods[number].summary);
	puts("\nExits with 0 done, 1 refused, 2 wrong usage, 3 no gmemd, 4 not found.");
}

static enum ctl_status help_method(const struct ctl *ctl, const struct method *method)
{
	struct json_object *value = method_value(method);
	enum ctl_status status = CTL_DONE;

	if (ctl->json)
		print_value(ctl, value);
	else
		status = print_method(ctl, value);
	json_unref(value);
	return status;
}

static enum ctl_status help_verb(const struct ctl *ctl, const struct verb *verb)
{
	struct json_object *value;

	if (!ctl->json) {
		print_verb(verb);
		return print_tables(ctl, verb->tables);
	}
	value = verb_value(verb);
	print_value(ctl, value);
	json_unref(value);
	return CTL_DONE;
}

enum ctl_status ctl_help(struct ctl *ctl, char **arguments)
{
	const struct method *method = arguments[0] ? method_by_name(arguments[0]) : NULL;
	const struct verb *verb = arguments[0] ? verb_by_name(arguments[0]) : NULL;
	enum ctl_status status = CTL_DONE;

	if (!arguments[0] && ctl->json)
		print_json_all(ctl);
	else if (!arguments[0])
		print_all();
	else if (!method && !verb)
		return report_usage(
			ctl, "there is no verb or method \"%s\"; try gmemctl help", arguments[0]);
	/* Both, such as ping: with --json the method, for a result is one value. */
	if (verb && !(method && ctl->json))
		status = help_verb(ctl, verb);
	if (verb && method && !ctl->json)
		putchar('\n');
	return method && status == CTL_DONE ? help_method(ctl, method) : status;
}
