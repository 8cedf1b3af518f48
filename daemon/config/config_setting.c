/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings of the configuration files. See config_setting.h.
 */
#include "daemon/config/config_setting.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_list.h"
#include "kernel/base/size.h"

#define AT(member) offsetof(struct config, member)
#define COUNT(section, name, member)                                                               \
	{                                                                                          \
		section, name, CONFIG_NUMBER, AT(member), 0, UINT64_MAX, "a number", false         \
	}
#define BYTES(section, name, member)                                                               \
	{                                                                                          \
		section, name, CONFIG_BYTES, AT(member), 0, 0,                                     \
			"a number of bytes, such as 2147483648 or 2G", false                       \
	}
#define AMOUNT(section, name, member)                                                              \
	{                                                                                          \
		section, name, CONFIG_AMOUNT, AT(member), 0, 0,                                    \
			"a number of bytes, such as 2147483648 or 2G, or 0% to 100%", false        \
	}

const struct config_setting config_settings[] = {
	{"gate", "policy", CONFIG_GATE, AT(gate_policy), 0, 0, "required or preferred", false},
	{"gate", "probes", CONFIG_YES_NO, AT(probes), 0, 0, "yes or no", false},
	{"keeper", "use", CONFIG_YES_NO, AT(keeper), 0, 0, "yes or no", /* at_start= */ true},
	{"sockets", "vmm-mode", CONFIG_MODE, AT(vmm_socket_mode), 0, 0777, "an octal file mode",
		false},
	{"sockets", "admin-mode", CONFIG_MODE, AT(operator_socket_mode), 0, 0777,
		"an octal file mode", false},
	COUNT("limits", "peers-per-user", peers_per_user),
	COUNT("limits", "vms-per-user", vms_per_user),
	COUNT("limits", "memories-per-user", memories_per_user),
	COUNT("limits", "preallocations-per-user", preallocations_per_user),
	COUNT("limits", "takers-per-owner", takers_per_owner),
	COUNT("limits", "takers-per-user", takers_per_user),
	COUNT("limits", "takers-on-host", takers_on_host),
	COUNT("limits", "memories-per-vm", memories_per_vm),
	COUNT("limits", "closed-memories-per-vm", closed_memories_per_vm),
	COUNT("limits", "closed-memories-per-user", closed_memories_per_user),
	COUNT("limits", "grants-per-vm", grants_per_vm),
	COUNT("limits", "slots-per-vm", slots_per_vm),
	COUNT("limits", "private-ranges-per-vm", private_ranges_per_vm),
	BYTES("limits", "own-memory-per-vm", own_memory_per_vm),
	COUNT("limits", "preallocations-per-vm", preallocations_per_vm),
	COUNT("limits", "preallocations-on-host", preallocations_on_host),
	{"limits", "reservations-on-host", CONFIG_NUMBER, AT(reservations_on_host), 0, 65535,
		"a number, at most 65535", false},
	BYTES("limits", "commit-limit", commit_limit),
	{"limits", "linger", CONFIG_NUMBER, AT(linger), 0, 604800,
		"a number of seconds, at most 604800", false},
	AMOUNT("limits", "host-reserve", host_reserve),
	{"limits", "overcommit", CONFIG_NUMBER, AT(overcommit), 0, 1000,
		"a number of percent, at most 1000", false},
	AMOUNT("pressure", "floor", pressure_floor),
	{"pressure", "deadline", CONFIG_NUMBER, AT(pressure_deadline), 1, 3600000,
		"a number of milliseconds, 1 to 3600000", false},
	{"tenants", "others", CONFIG_OTHERS, AT(others), 0, 0, "default or refused", false},
};

const unsigned config_settings_count = sizeof config_settings / sizeof *config_settings;

_Static_assert(sizeof config_settings / sizeof *config_settings <= CONFIG_SETTINGS_MAX, "origins");

const struct config_setting *config_setting_find(const char *section, const char *name)
{
	for (unsigned i = 0; i < config_settings_count; i++) {
		const struct config_setting *setting = &config_settings[i];

		if (strcmp(setting->section, section) == 0 && strcmp(setting->name, name) == 0)
			return setting;
	}
	return NULL;
}

const struct config_setting *config_setting_at(size_t at)
{
	const struct config_setting *setting = config_settings;

	while (setting->at != at)
		setting++;
	assert(setting < config_settings + config_settings_count);
	return setting;
}

struct config_origin *config_setting_origin(
	struct config *config, const struct config_setting *setting)
{
	return &config->origins[setting - config_settings];
}

/* Values */

static size_t size_of(const struct config_setting *setting)
{
	static const size_t sizes[] = {
		[CONFIG_NUMBER] = sizeof(uint64_t),
		[CONFIG_BYTES] = sizeof(uint64_t),
		[CONFIG_AMOUNT] = sizeof(struct config_amount),
		[CONFIG_YES_NO] = sizeof(bool),
		[CONFIG_MODE] = sizeof(mode_t),
		[CONFIG_GATE] = sizeof(enum gate_policy),
		[CONFIG_OTHERS] = sizeof(enum others_policy),
	};

	return sizes[setting->type];
}

static bool parse_number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

static bool parse_bounded(
	const struct config_setting *setting, const char *text, int base, uint64_t *ret)
{
	return parse_number(text, base, ret) && *ret >= setting->min && *ret <= setting->max;
}

static bool parse_percent(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && strcmp(end, "%") == 0 &&
	       *ret <= 100;
}

static bool parse_amount(const char *text, struct config_amount *ret)
{
	uint64_t number;
	bool percent = parse_percent(text, &number);

	if (!percent && size_parse(text, &number) < 0)
		return false;
	*ret = (struct config_amount){.number = number, .percent = percent};
	return true;
}

static const char *const gate_names[] = {
	[GATE_POLICY_REQUIRED] = "required", [GATE_POLICY_PREFERRED] = "preferred"};
static const char *const others_names[] = {
	[OTHERS_DEFAULT] = "default", [OTHERS_REFUSED] = "refused"};
static const char *const yes_no_names[] = {[false] = "no", [true] = "yes"};

/* -1 where it is neither. */
static int which_of(const char *const names[2], const char *text)
{
	for (int i = 0; i < 2; i++) {
		if (strcmp(names[i], text) == 0)
			return i;
	}
	return -1;
}

static bool parse_list(const struct config_setting *setting, const char *text, void *where)
{
	struct config_list *list = (void *)((char *)where + setting->at);

	return config_list_add(list, (enum config_list_of)setting->min, text) &&
	       list->count <= setting->max;
}

bool config_setting_parse(const struct config_setting *setting, const char *text, void *where)
{
	union {
		uint64_t number;
		struct config_amount amount;
		bool yes;
		mode_t mode;
		enum gate_policy gate;
		enum others_policy others;
	} value;
	bool parsed = false;
	uint64_t number;
	int which;

	memset(&value, 0, sizeof value);
	switch (setting->type) {
	case CONFIG_NUMBER:
		parsed = parse_bounded(setting, text, 10, &value.number);
		break;
	case CONFIG_BYTES:
		parsed = size_parse(text, &value.number) == 0;
		break;
	case CONFIG_AMOUNT:
		parsed = parse_amount(text, &value.amount);
		break;
	case CONFIG_MODE:
		parsed = parse_bounded(setting, text, 8, &number);
		value.mode = (mode_t)number;
		break;
	case CONFIG_YES_NO:
		which = which_of(yes_no_names, text);
		parsed = which >= 0;
		value.yes = which == true;
		break;
	case CONFIG_GATE:
		which = which_of(gate_names, text);
		parsed = which >= 0;
		value.gate = parsed ? (enum gate_policy)which : GATE_POLICY_REQUIRED;
		break;
	case CONFIG_OTHERS:
		which = which_of(others_names, text);
		parsed = which >= 0;
		value.others = parsed ? (enum others_policy)which : OTHERS_DEFAULT;
		break;
	case CONFIG_LIST:
		return parse_list(setting, text, where);
	}
	if (parsed)
		memcpy((char *)where + setting->at, &value, size_of(setting));
	return parsed;
}

void config_setting_print(
	const struct config_setting *setting, const void *where, char ret[static CONFIG_VALUE_SIZE])
{
	const void *value = (const char *)where + setting->at;
	const struct config_amount *amount = value;

	switch (setting->type) {
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
		snprintf(ret, CONFIG_VALUE_SIZE, "%" PRIu64, *(const uint64_t *)value);
		break;
	case CONFIG_AMOUNT:
		snprintf(ret, CONFIG_VALUE_SIZE, "%" PRIu64 "%s", amount->number,
			amount->percent ? "%" : "");
		break;
	case CONFIG_YES_NO:
		strcpy(ret, yes_no_names[*(const bool *)value]);
		break;
	case CONFIG_MODE:
		snprintf(ret, CONFIG_VALUE_SIZE, "%04o", (unsigned)*(const mode_t *)value);
		break;
	case CONFIG_GATE:
		strcpy(ret, gate_names[*(const enum gate_policy *)value]);
		break;
	case CONFIG_OTHERS:
		strcpy(ret, others_names[*(const enum others_policy *)value]);
		break;
	case CONFIG_LIST:
		config_list_print(value, ret, CONFIG_VALUE_SIZE);
		break;
	}
}

/* An amount has bytes that mean nothing. */
bool config_setting_equal(const struct config_setting *setting, const void *a, const void *b)
{
	char one[CONFIG_VALUE_SIZE], other[CONFIG_VALUE_SIZE];

	config_setting_print(setting, a, one);
	config_setting_print(setting, b, other);
	return strcmp(one, other) == 0;
}

void config_setting_copy(
	const struct config_setting *setting, const struct config *from, struct config *config)
{
	memcpy((char *)config + setting->at, (const char *)from + setting->at, size_of(setting));
}

/* Names */

void config_setting_names(const char *section, char *ret, size_t size)
{
	const struct config_setting *last = NULL;
	size_t used = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < config_settings_count && used < size; i++) {
		const struct config_setting *setting = &config_settings[i];
		bool first = !last || strcmp(last->section, setting->section) != 0;

		last = setting;
		if (section ? strcmp(setting->section, section) != 0 : !first)
			continue;
		used += (size_t)snprintf(ret + used, size - used, "%s%s", used > 0 ? ", " : "",
			section ? setting->name : setting->section);
	}
}
