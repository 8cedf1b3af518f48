/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's command line. See qemu_command.h.
 */
#include "client/run/qemu_command.h"

#include <string.h>

#include "protocol/text.h"

/* NULL where the word is no option. */
static const char *option_of(const char *word)
{
	if (word[0] != '-')
		return NULL;
	return word + (word[1] == '-' ? 2 : 1);
}

/* The next part of a list, in which a comma within a part is doubled. False at its end. */
static bool next_part(const char **list, char *ret, size_t size)
{
	const char *at = *list;
	size_t length = 0;

	if (*at == '\0')
		return false;
	for (; *at != '\0'; at++) {
		if (at[0] == ',' && at[1] != ',')
			break;
		if (at[0] == ',')
			at++;
		if (length + 1 < size)
			ret[length++] = *at;
	}
	ret[length] = '\0';
	*list = *at == ',' ? at + 1 : at;
	return true;
}

/* A part by its name, or the first one, which needs none. */
static void find_part(const char *list, const char *name, char *ret, size_t size)
{
	char part[NAME_BYTES_MAX + 32];
	size_t length = strlen(name);
	bool first = true;

	for (; next_part(&list, part, sizeof part); first = false) {
		const char *value = NULL;

		if (strncmp(part, name, length) == 0 && part[length] == '=')
			value = part + length + 1;
		else if (first && !strchr(part, '='))
			value = part;
		if (value)
			text_copy(value, ret, size);
	}
}

static bool is_none(const char *machine)
{
	char type[8] = "";

	find_part(machine, "type", type, sizeof type);
	return strcmp(type, "none") == 0;
}

static bool asks_for_words(const char *option)
{
	return strcmp(option, "version") == 0 || strcmp(option, "help") == 0 ||
	       strcmp(option, "h") == 0;
}

static void read_option(const char *option, const char *value, struct qemu_command *command)
{
	if (asks_for_words(option))
		command->purpose = QEMU_WORDS;
	if (!value)
		return;
	if (strcmp(option, "name") == 0)
		find_part(value, "guest", command->name, sizeof command->name);
	else if (strcmp(option, "uuid") == 0)
		command->uuid = value;
	else if ((strcmp(option, "machine") == 0 || strcmp(option, "M") == 0) && is_none(value))
		command->purpose = QEMU_PROBE;
}

void qemu_command_read(char *const *arguments, struct qemu_command *ret)
{
	*ret = (struct qemu_command){.purpose = QEMU_GUEST};
	for (; *arguments; arguments++) {
		const char *option = option_of(*arguments);

		if (option)
			read_option(option, arguments[1], ret);
	}
}
