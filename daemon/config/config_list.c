/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists. See config_list.h.
 */
#include "daemon/config/config_list.h"

#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/size.h"
#include "kernel/kvm/probe.h"

#define BLANKS " \t,"

static bool parse_id(const char *text, uint32_t max, uint32_t *ret)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || number > max)
		return false;
	*ret = (uint32_t)number;
	return true;
}

static bool parse_node_bytes(const char *text, uint32_t *ret_node, uint64_t *ret_bytes)
{
	size_t length = strcspn(text, ":");
	char number[8] = "";

	if (text[length] == '\0' || length >= sizeof number)
		return false;
	memcpy(number, text, length);
	return parse_id(number, CONFIG_NODE_MAX, ret_node) &&
	       size_parse(text + length + 1, ret_bytes) == 0;
}

/* Of this host's own file: a directory of users elsewhere may not answer. */
static bool find_user(const char *name, uint32_t *ret)
{
	cleanup_file FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *entry;

	while (file && (entry = fgetpwent(file))) {
		if (strcmp(entry->pw_name, name) == 0) {
			*ret = entry->pw_uid;
			return true;
		}
	}
	return false;
}

static bool find_group(const char *name, uint32_t *ret)
{
	cleanup_file FILE *file = fopen("/etc/group", "re");
	const struct group *entry;

	while (file && (entry = fgetgrent(file))) {
		if (strcmp(entry->gr_name, name) == 0) {
			*ret = entry->gr_gid;
			return true;
		}
	}
	return false;
}

static bool parse_word(enum config_list_of of, const char *word, uint32_t *ret)
{
	/* The last is nobody's. */
	const uint32_t id_max = UINT32_MAX - 1;
	uint64_t bytes;
	unsigned type = 0;

	switch (of) {
	case CONFIG_LIST_USERS:
		return parse_id(word, id_max, ret) || find_user(word, ret);
	case CONFIG_LIST_GROUPS:
		return parse_id(word, id_max, ret) || find_group(word, ret);
	case CONFIG_LIST_NODES:
		return parse_id(word, CONFIG_NODE_MAX, ret);
	case CONFIG_LIST_NODE_BYTES:
		return parse_node_bytes(word, ret, &bytes);
	case CONFIG_LIST_VM_TYPES:
		if (vm_type_by_name(word, &type) < 0)
			return false;
		*ret = type;
		return true;
	case CONFIG_LIST_PATTERNS:
	case CONFIG_LIST_PATHS:
		*ret = 0;
		return of == CONFIG_LIST_PATTERNS || word[0] == '/';
	}
	return false;
}

static bool add_word(struct config_list *list, enum config_list_of of, const char *word)
{
	uint32_t id, *ids;
	char **words;

	if (list->count == CONFIG_LIST_MAX || !parse_word(of, word, &id))
		return false;
	words = reallocarray(list->words, list->count + 1, sizeof *words);
	if (!words)
		return false;
	list->words = words;
	ids = reallocarray(list->ids, list->count + 1, sizeof *ids);
	if (!ids)
		return false;
	list->ids = ids;
	words[list->count] = strdup(word);
	if (!words[list->count])
		return false;
	ids[list->count++] = id;
	return true;
}

bool config_list_add(struct config_list *list, enum config_list_of of, const char *text)
{
	cleanup_free char *copy = strdup(text);
	char *position = copy;
	bool all = copy;

	if (copy && copy[strspn(copy, BLANKS)] == '\0')
		config_list_clear(list);
	while (all && position) {
		const char *word = strsep(&position, BLANKS);

		all = word[0] == '\0' || add_word(list, of, word);
	}
	return all;
}

void config_list_clear(struct config_list *list)
{
	for (unsigned i = 0; i < list->count; i++)
		free(list->words[i]);
	free(list->words);
	free(list->ids);
	*list = (struct config_list){.count = 0};
}

bool config_list_has(const struct config_list *list, uint32_t id)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (list->ids[i] == id)
			return true;
	}
	return false;
}

uint64_t config_list_bytes(const struct config_list *list, unsigned word)
{
	uint64_t bytes = 0;
	uint32_t node;

	parse_node_bytes(list->words[word], &node, &bytes);
	return bytes;
}

bool config_list_matches(const struct config_list *list, const char *text)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (fnmatch(list->words[i], text, 0) == 0)
			return true;
	}
	return false;
}

void config_list_print(const struct config_list *list, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < list->count && used < size; i++)
		used += (size_t)snprintf(
			ret + used, size - used, "%s%s", i > 0 ? " " : "", list->words[i]);
}
