/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain's XML. See domain_facts.h.
 */
#include "client/libvirt/domain_facts.h"

#include <errno.h>
#include <expat.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/base/size.h"
#include "protocol/methods.h"

#define SEPARATOR   " " /* between a namespace and a name, as expat is told */
#define TEXT_MAX    4096
#define EMULATOR    "gmem-run-qemu" /* and for other machines gmem-run-qemu-system-ARCH */
#define MEMORY_UNIT "KiB"           /* the one that libvirt writes */
#define MEMORY_STEP (UINT64_C(1) << 20)

/* Of <domain>, of what is below it, and of what is below that. */
enum { DEPTH_DOMAIN = 1, DEPTH_CHILD, DEPTH_GRANDCHILD };

enum child {
	CHILD_OTHER,
	CHILD_NAME,
	CHILD_UUID,
	CHILD_TITLE,
	CHILD_MEMORY,
	CHILD_MAXIMUM,
	CHILD_METADATA,
	CHILD_DEVICES
};

static const char *const child_names[] = {
	[CHILD_NAME] = "name",
	[CHILD_UUID] = "uuid",
	[CHILD_TITLE] = "title",
	[CHILD_MEMORY] = "memory",
	[CHILD_MAXIMUM] = "maxMemory",
	[CHILD_METADATA] = "metadata",
	[CHILD_DEVICES] = "devices",
};

struct reader {
	XML_Parser parser;
	struct domain_facts *facts;
	unsigned depth;
	enum child child;
	bool in_own;      /* inside of gmemd's element */
	bool in_emulator; /* and of <emulator> */
	uint64_t memory, maximum;
	size_t length;
	char text[TEXT_MAX];
	int error;
	char *why;
};

__attribute__((format(printf, 3, 4))) static void fail(
	struct reader *reader, int error, const char *format, ...)
{
	va_list arguments;

	if (reader->error != 0)
		return;
	va_start(arguments, format);
	vsnprintf(reader->why, FACTS_TEXT_MAX, format, arguments);
	va_end(arguments);
	reader->error = error;
	XML_StopParser(reader->parser, XML_FALSE);
}

/* The first counts. */
__attribute__((format(printf, 2, 3))) static void find_fault(
	struct reader *reader, const char *format, ...)
{
	va_list arguments;

	if (reader->facts->fault[0])
		return;
	va_start(arguments, format);
	vsnprintf(reader->facts->fault, FACTS_TEXT_MAX, format, arguments);
	va_end(arguments);
}

static const char *attribute(const XML_Char **attributes, const char *name)
{
	for (; attributes[0]; attributes += 2) {
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	}
	return NULL;
}

static void begin_domain(struct reader *reader, const char *name, const XML_Char **attributes)
{
	const char *id = attribute(attributes, "id");
	char *end;

	if (strcmp(name, "domain") != 0) {
		fail(reader, -EINVAL, "it is <%.32s> and no <domain>", name);
		return;
	}
	if (id && id[0] >= '0' && id[0] <= '9') {
		errno = 0;
		reader->facts->id = strtol(id, &end, 10);
		if (errno != 0 || *end != '\0' || reader->facts->id > INT_MAX)
			fail(reader, -EINVAL, "its id is \"%.32s\"", id);
	}
}

static void begin_child(struct reader *reader, const char *name, const XML_Char **attributes)
{
	const char *unit = attribute(attributes, "unit");

	reader->length = 0;
	reader->child = CHILD_OTHER;
	for (enum child child = CHILD_NAME; child <= CHILD_DEVICES; child++) {
		if (strcmp(name, child_names[child]) == 0)
			reader->child = child;
	}
	if ((reader->child == CHILD_MEMORY || reader->child == CHILD_MAXIMUM) &&
		(!unit || strcmp(unit, MEMORY_UNIT) != 0))
		fail(reader, -EINVAL, "its <%s> is not in " MEMORY_UNIT, name);
}

static void read_tenant(struct reader *reader, const char *value)
{
	if (value[0] == '\0' || strlen(value) > NAME_BYTES_MAX) {
		find_fault(reader, "its tenant is no name: 1 to %d bytes", NAME_BYTES_MAX);
		return;
	}
	reader->facts->tenant = strdup(value);
	if (!reader->facts->tenant)
		fail(reader, -ENOMEM, "no memory");
}

static void read_limit(struct reader *reader, const char *value)
{
	uint64_t limit;

	if (size_parse(value, &limit) < 0 || limit == 0 || limit > INT64_MAX)
		find_fault(reader, "its limit is no size, as 512M or 8G are: \"%.32s\"", value);
	else
		reader->facts->limit = limit;
}

static void read_own(struct reader *reader, const XML_Char **attributes)
{
	for (; attributes[0] && reader->error == 0; attributes += 2) {
		if (strcmp(attributes[0], "tenant") == 0)
			read_tenant(reader, attributes[1]);
		else if (strcmp(attributes[0], "limit") == 0)
			read_limit(reader, attributes[1]);
		else
			find_fault(
				reader, "it has no \"%.32s\", but tenant and limit", attributes[0]);
	}
}

static void begin_metadata(struct reader *reader, const char *name, const XML_Char **attributes)
{
	const char *prefix = METADATA_NAMESPACE SEPARATOR;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return;
	reader->in_own = true;
	if (strcmp(name + strlen(prefix), "memory") == 0)
		read_own(reader, attributes);
	else
		find_fault(reader, "<gmem:%.32s> is no element of gmemd's, but <gmem:memory> is",
			name + strlen(prefix));
}

static void begin_device(struct reader *reader, const char *name)
{
	reader->in_emulator = strcmp(name, "emulator") == 0;
	reader->length = 0;
}

static void begin(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *reader = context;

	reader->depth++;
	if (reader->depth == DEPTH_DOMAIN)
		begin_domain(reader, name, attributes);
	else if (reader->depth == DEPTH_CHILD)
		begin_child(reader, name, attributes);
	else if (reader->depth == DEPTH_GRANDCHILD && reader->child == CHILD_METADATA)
		begin_metadata(reader, name, attributes);
	else if (reader->depth == DEPTH_GRANDCHILD && reader->child == CHILD_DEVICES)
		begin_device(reader, name);
	else if (reader->in_own)
		find_fault(reader, "it has elements in it, and takes attributes alone");
}

static void copy_text(struct reader *reader, char **ret)
{
	free(*ret);
	*ret = strdup(reader->text);
	if (!*ret)
		fail(reader, -ENOMEM, "no memory");
}

static void read_memory(struct reader *reader, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(reader->text, &end, 10);
	if (errno != 0 || *end != '\0' || reader->text[0] < '0' || reader->text[0] > '9' ||
		*ret > (INT64_MAX - MEMORY_STEP) / 1024)
		fail(reader, -EINVAL, "its memory is \"%.32s\"", reader->text);
	/* As libvirt rounds it up when it starts the domain. */
	*ret = (*ret * 1024 + MEMORY_STEP - 1) / MEMORY_STEP * MEMORY_STEP;
}

static void end_child(struct reader *reader)
{
	struct domain_facts *facts = reader->facts;

	reader->text[reader->length] = '\0';
	switch (reader->child) {
	case CHILD_NAME:
		copy_text(reader, &facts->name);
		break;
	case CHILD_TITLE:
		copy_text(reader, &facts->title);
		break;
	case CHILD_UUID:
		if (reader->length == sizeof facts->uuid - 1)
			memcpy(facts->uuid, reader->text, sizeof facts->uuid);
		break;
	case CHILD_MEMORY:
		read_memory(reader, &reader->memory);
		break;
	case CHILD_MAXIMUM:
		read_memory(reader, &reader->maximum);
		break;
	default:
		break;
	}
}

static void end_emulator(struct reader *reader)
{
	const char *name;

	reader->text[reader->length] = '\0';
	name = strrchr(reader->text, '/');
	reader->facts->is_ours = name && strncmp(name + 1, EMULATOR, strlen(EMULATOR)) == 0;
	reader->in_emulator = false;
}

static void end(void *context, const XML_Char *name)
{
	struct reader *reader = context;

	(void)name;
	if (reader->depth == DEPTH_GRANDCHILD)
		reader->in_own = false;
	if (reader->depth == DEPTH_GRANDCHILD && reader->in_emulator)
		end_emulator(reader);
	if (reader->depth == DEPTH_CHILD && reader->error == 0)
		end_child(reader);
	reader->depth--;
}

static bool is_space(const char *text, size_t length)
{
	return strspn(text, " \t\r\n") >= length;
}

static void add_text(void *context, const XML_Char *text, int length)
{
	struct reader *reader = context;
	size_t size = (size_t)length;

	if (reader->in_own && !is_space(text, size))
		find_fault(reader, "it has text in it, and takes attributes alone");
	if (!(reader->depth == DEPTH_CHILD && reader->child != CHILD_OTHER) &&
		!(reader->depth == DEPTH_GRANDCHILD && reader->in_emulator))
		return;
	/* Longer than any name or title that libvirt takes in. */
	if (size > TEXT_MAX - 1 - reader->length)
		size = TEXT_MAX - 1 - reader->length;
	memcpy(reader->text + reader->length, text, size);
	reader->length += size;
}

static int check_whole(struct reader *reader)
{
	struct domain_facts *facts = reader->facts;

	facts->maximum = reader->maximum ? reader->maximum : reader->memory;
	if (!facts->name || strlen(facts->uuid) != sizeof facts->uuid - 1 || facts->maximum == 0)
		fail(reader, -EINVAL, "it lacks a name, a UUID or its memory");
	if (facts->fault[0]) {
		free(facts->tenant);
		facts->tenant = NULL;
		facts->limit = 0;
	}
	return reader->error;
}

static int read_all(struct reader *reader, const char *xml)
{
	size_t length = strlen(xml);

	XML_SetUserData(reader->parser, reader);
	XML_SetElementHandler(reader->parser, begin, end);
	XML_SetCharacterDataHandler(reader->parser, add_text);
	if (length > INT_MAX)
		fail(reader, -EINVAL, "it is too long");
	else if (XML_Parse(reader->parser, xml, (int)length, /* is_final= */ 1) != XML_STATUS_OK)
		fail(reader, -EINVAL, "line %lu: %s", XML_GetCurrentLineNumber(reader->parser),
			XML_ErrorString(XML_GetErrorCode(reader->parser)));
	return reader->error == 0 ? check_whole(reader) : reader->error;
}

int domain_facts_read(
	const char *xml, struct domain_facts *ret, char ret_why[static FACTS_TEXT_MAX])
{
	struct domain_facts facts = {.id = -1};
	struct reader reader = {.facts = &facts, .why = ret_why};
	int r = -ENOMEM;

	reader.parser = XML_ParserCreateNS(NULL, SEPARATOR[0]);
	if (reader.parser)
		r = read_all(&reader, xml);
	else
		snprintf(ret_why, FACTS_TEXT_MAX, "no memory");
	XML_ParserFree(reader.parser);
	if (r < 0)
		domain_facts_clear(&facts);
	else
		*ret = facts;
	return r;
}

void domain_facts_clear(struct domain_facts *facts)
{
	free(facts->name);
	free(facts->title);
	free(facts->tenant);
	*facts = (struct domain_facts){.id = -1};
}

uint64_t domain_facts_commit_limit(const struct domain_facts *facts)
{
	return facts->limit ? facts->limit : facts->maximum;
}
