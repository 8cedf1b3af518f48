/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists: settings of several words, between blanks or commas.
 *
 * A line of a configuration file is short: so each adds to those before it, and an empty one takes
 * all of them back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_list_of {
	CONFIG_LIST_USERS,  /* of /etc/passwd, or their numbers: nobody is waited for */
	CONFIG_LIST_GROUPS, /* of /etc/group, or their numbers */
	CONFIG_LIST_NODES,
	CONFIG_LIST_NODE_BYTES, /* such as 0:8G */
	CONFIG_LIST_VM_TYPES,
	CONFIG_LIST_PATTERNS, /* as fnmatch(3) has them */
	CONFIG_LIST_PATHS,    /* absolute */
};

#define CONFIG_LIST_MAX 1024
#define CONFIG_NODE_MAX 1023

struct config_list {
	char **words;
	uint32_t *ids; /* what the words mean, or begin with; 0 for patterns */
	unsigned count;
};

/* False where a word is none of these, or there is no room for more. */
bool config_list_add(struct config_list *list, enum config_list_of of, const char *text);
void config_list_clear(struct config_list *list);

bool config_list_has(const struct config_list *list, uint32_t id);
/* Of NODE_BYTES, how many that word says. */
uint64_t config_list_bytes(const struct config_list *list, unsigned word);
/* Whether the text is what any of the patterns says. */
bool config_list_matches(const struct config_list *list, const char *text);
/* Truncates to size. */
void config_list_print(const struct config_list *list, char *ret, size_t size);
