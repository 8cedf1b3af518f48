/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints the protocol's reference as Markdown, from the tables that also check requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/acts.h"
#include "protocol/description.h"
#include "protocol/event_kinds.h"
#include "protocol/methods.h"
#include "protocol/packet.h"

#define TEXT_SIZE 512

static const char *const transport[] = {
	"gmemd listens on two AF_UNIX sockets of type SOCK_SEQPACKET, by default in /run/gmemd:",
	"gmemd.sock for VMMs, each for its own VM, and admin.sock for operators, for all VMs.",
	"One packet is one JSON-RPC 2.0 request, notification or answer, or a batch (an array)",
	"of them, in UTF-8. Parameters are given by name; one that is unknown is an error.",
	"Files go from gmemd to the peer only. In a result a file descriptor is an integer: its",
	"index among those that come with the same packet (SCM_RIGHTS). In a parameter it is the",
	"file's number in the peer's own process, from which gmemd takes a copy (pidfd_getfd(2));",
	"the peer keeps its own. A peer that sends files gets EPERM from sendmsg(2)",
	"(SO_PASSRIGHTS, Linux 6.16). A batch may name files by their numbers, but has no method",
	"whose result has files. Sizes, offsets and addresses are bytes.",
	"Answers come in the order of the requests, but those of memory.preallocate when they are",
	"done. A VMM that puts up its gate itself finds what to install in gmemd-gate.md.",
	NULL,
};

static const char *const calls[] = {
	"A VM's ioctls are the VMM's to issue, with arguments that gmemd has written. A method",
	"that needs one answers with a `call`: the VMM does ioctl(vm_fd, request, address + i *",
	"stride) for i from 0 to count - 1, stops at the first that fails, and reports with",
	"call.done how many it has done. What gmemd refuses fails with EPERM. Where `call` is",
	"null, the work is done.",
	"",
	"A `call` with `report` can be reported in the VM's report page instead: for each entry i",
	"that was triggered the VMM stores one aligned 64-bit word at `report` + i * stride / 4, "
	"in",
	"the host's byte order, atomically: the call's id, or the id with bit 63 set where that",
	"ioctl has failed. gmemd has read it before it carries out whatever this process asks "
	"next,",
	"or an operator; where nobody asks anything, soon after. A call is reported in one way: "
	"with",
	"call.done where the answer is of interest, such as `discarded`, or with words. Any other",
	"word is no report, so none need ever be cleared.",
	NULL,
};

/* In a table's cell a bar would end it. */
static void print_cell(const char *text)
{
	fputs("| ", stdout);
	for (; text && *text; text++)
		printf("%s%c", *text == '|' ? "\\" : "", *text);
	putchar(' ');
}

static void print_lines(const char *const *lines)
{
	for (; *lines; lines++)
		puts(*lines);
}

static void print_transport(void)
{
	printf("# gmemd's protocol, version %d\n\n## Transport\n\n", PROTOCOL_VERSION);
	print_lines(transport);
	printf("A packet has at most %d bytes and %d file descriptors.\n", PACKET_BYTES_MAX,
		PACKET_FDS_MAX);
	puts("\n## Calls\n");
	print_lines(calls);
}

/* The page size is that of the host that gmemd runs on, not of the one that this is built on. */
static void print_expectation(const struct field *field)
{
	struct field unaligned = *field;
	char text[TEXT_SIZE], whole[2 * TEXT_SIZE];

	unaligned.flags &= ~(unsigned)FIELD_PAGES;
	field_expectation(&unaligned, text, sizeof text);
	snprintf(whole, sizeof whole, "%s%s", text,
		field->flags & FIELD_PAGES ? ", a multiple of the page size" : "");
	print_cell(whole);
}

static void print_parameter_row(const char *path, const struct field *field, void *context)
{
	char text[TEXT_SIZE];

	(void)context;
	snprintf(text, sizeof text, "`%s`", path);
	print_cell(text);
	print_cell(field->flags & FIELD_OPTIONAL ? "no" : "yes");
	print_expectation(field);
	field_default(field, text, sizeof text);
	print_cell(text);
	print_cell(field->summary);
	puts("|");
}

static void print_parameters(const struct field *fields)
{
	puts("\nParameters:");
	if (!fields->name) {
		puts("none.");
		return;
	}
	puts("\n| name | required | must be | default | what it is |\n"
	     "| --- | --- | --- | --- | --- |");
	fields_walk(fields, print_parameter_row, NULL);
}

static void print_result_row(const char *path, const struct field *field, void *context)
{
	char text[TEXT_SIZE];

	(void)context;
	snprintf(text, sizeof text, "`%s`", path);
	print_cell(text);
	print_cell(field->flags & FIELD_OPTIONAL ? "no" : "yes");
	field_kind(field, text, sizeof text);
	print_cell(text);
	print_cell(field->summary);
	puts("|");
}

static void print_result(const struct field *fields)
{
	if (!fields->name) {
		puts("An empty object.");
		return;
	}
	puts("\n| name | always there | is | what it says |\n| --- | --- | --- | --- |");
	fields_walk(fields, print_result_row, NULL);
}

static void print_errors(const enum rpc_code *errors)
{
	puts("\nErrors:");
	if (*errors == RPC_OK)
		puts("only those of any method.");
	for (; *errors != RPC_OK; errors++)
		printf("%d %s%s\n", rpc_code_sent(*errors), rpc_reason(*errors),
			errors[1] == RPC_OK ? "." : ",");
}

static void print_method(const struct method *method)
{
	printf("\n### %s\n\n%s\n\nMay be called on:", method->name, method->summary);
	printf("%s%s%s.\n", method->access & ACCESS_VMM ? " gmemd.sock" : "",
		method->access == (ACCESS_VMM | ACCESS_OPERATOR) ? "," : "",
		method->access & ACCESS_OPERATOR ? " admin.sock" : "");
	print_parameters(method->parameters);
	puts("\nResult:");
	print_result(method->result);
	print_errors(method->errors);
}

static void print_common_errors(void)
{
	static const enum rpc_code codes[] = {RPC_PARSE_ERROR, RPC_INVALID_REQUEST,
		RPC_METHOD_NOT_FOUND, RPC_INVALID_PARAMS, RPC_INTERNAL_ERROR, RPC_NOT_PERMITTED,
		RPC_CONFIGURATION};

	puts("\n## Errors\n");
	puts("An error has a code, a message (one sentence for a person) and data, whose `reason`");
	puts("names the code. Data of invalid_params has `param` and `expected` too, data of");
	puts("configuration `file`, and `line` and `setting` where they are known: then gmemd "
	     "answers");
	puts("each request with it.");
	puts("Any method can give these:\n\n| code | reason |\n| --- | --- |");
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		printf("| %d | %s |\n", rpc_code_sent(codes[i]), rpc_reason(codes[i]));
}

static void print_events(void)
{
	puts("\n## Events\n");
	puts("After event.subscribe, gmemd sends notifications \"event\". Each has:");
	print_result(event_fields);
	puts("\n| kind | when | also has |\n| --- | --- | --- |");
	for (unsigned kind = 0; kind < EVENT_KINDS; kind++) {
		const struct event_description *description = &event_descriptions[kind];

		printf("| `%s` ", description->kind);
		print_cell(description->summary);
		printf("|");
		for (const struct field *field = description->fields; field->name; field++)
			printf(" `%s`", field->name);
		puts(" |");
	}
	puts("\nWhere memory.preallocate was given a token, gmemd sends notifications \"progress\" "
	     "until it answers. Each has:");
	print_result(progress_fields);
}

static void print_fields_of(const char *fields)
{
	const char *separator = " ";

	while (*fields) {
		size_t length = strcspn(fields, " ");

		printf("%s`%.*s=`", separator, (int)length, fields);
		separator = ", ";
		fields += length;
		fields += strspn(fields, " ");
	}
}

static void print_acts(void)
{
	puts("\n## The journal\n");
	puts("Each of these acts is an entry in the journal, which `journalctl -x` explains, and "
	     "a");
	puts("counter of metrics.get (gmemd_NAME_total). Each has MESSAGE= and GMEMD_ACT=, its "
	     "name;");
	puts("GMEMD_BY_PID= and GMEMD_BY_UID= too where somebody else has asked for it than the");
	puts("process that it is about.\n");
	puts("| act | MESSAGE_ID= | what has happened | also has |\n| --- | --- | --- | --- |");
	for (unsigned number = 0; number < ACTS; number++) {
		const struct act_description *act = &act_descriptions[number];

		printf("| `%s` | %s ", act->name, act->message_id);
		print_cell(act->summary);
		printf("|");
		print_fields_of(act_fields[act->whose]);
		printf("%s", *act->also && *act_fields[act->whose] ? "," : "");
		print_fields_of(act->also);
		puts(" |");
	}
}

static void print_columns(void)
{
	puts("\nIn the tables, `a[].b` is member b of each object of the array a; \"required\" is "
	     "whether");
	puts("a parameter must be given, in each object where it is of one; \"default\" is what an "
	     "absent");
	puts("one is taken for; \"always there\" is whether a result has the member in any case.");
}

int main(void)
{
	print_transport();
	print_common_errors();
	puts("\n## Methods");
	print_columns();
	for (unsigned number = 0; number < METHODS; number++)
		print_method(&methods[number]);
	print_events();
	print_acts();
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
