/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings of the configuration files: one table says of each its section, what it may be, and
 * where its value is. Reading, `gmemd --check-config` and config.get are made from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config/config.h"

enum config_type {
	CONFIG_NUMBER, /* from min to max */
	CONFIG_BYTES,  /* as size_parse() reads them: uint64_t */
	CONFIG_AMOUNT, /* of bytes, or percent of the host's memory: struct config_amount */
	CONFIG_YES_NO, /* bool */
	CONFIG_MODE,   /* of a file, octal: mode_t */
	CONFIG_GATE,   /* enum gate_policy */
	CONFIG_OTHERS, /* enum others_policy */
	CONFIG_LIST,   /* struct config_list; min is what of: enum config_list_of, max how many */
};

struct config_setting {
	const char *section, *name;
	enum config_type type;
	size_t at; /* in struct config, or in struct config_tenant */
	uint64_t min, max;
	const char *expected; /* completes "must be …" */
	bool at_start;        /* what it is when gmemd starts holds until it ends */
};

/* Those of a section stand together. */
extern const struct config_setting config_settings[];
extern const unsigned config_settings_count;

/* NULL where there is none. */
const struct config_setting *config_setting_find(const char *section, const char *name);
/* The one whose value is there in struct config. */
const struct config_setting *config_setting_at(size_t at);
struct config_origin *config_setting_origin(
	struct config *config, const struct config_setting *setting);

/*
 * What follows is of settings in a struct config, or of a tenant's in its struct config_tenant.
 *
 * Sets it. False where the text is none of its values; then it is as it was, or a part of a list.
 */
bool config_setting_parse(const struct config_setting *setting, const char *text, void *where);

#define CONFIG_VALUE_SIZE 256

/* Its value as a file would have it; of a list as much as there is room for. */
void config_setting_print(const struct config_setting *setting, const void *where,
	char ret[static CONFIG_VALUE_SIZE]);
bool config_setting_equal(const struct config_setting *setting, const void *a, const void *b);
/* What it is in from is what it is in config from then on. */
void config_setting_copy(
	const struct config_setting *setting, const struct config *from, struct config *config);

/* The names of all sections where section is NULL, else of its settings: "a, b, c"; "" where there
 * are none. */
void config_setting_names(const char *section, char *ret, size_t size);
