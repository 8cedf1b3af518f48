/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file. See config_file.h.
 */
#include "daemon/config/config_file.h"

#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_lines.h"

#define OVERCOMMIT_MAX        1000    /* percent */
#define PRESSURE_DEADLINE_MAX 3600000 /* milliseconds */

/* Setters take the text of one setting; false where it is none of its values. */
bool config_set_gate(struct config *config, const char *value)
{
	if (strcmp(value, "required") == 0)
		config->gate_policy = GATE_POLICY_REQUIRED;
	else if (strcmp(value, "preferred") == 0)
		config->gate_policy = GATE_POLICY_PREFERRED;
	else
		return false;
	return true;
}

static bool parse_number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

static bool set_bool(const char *value, bool *ret)
{
	*ret = strcmp(value, "yes") == 0;
	return *ret || strcmp(value, "no") == 0;
}

static bool set_probes(struct config *config, const char *value)
{
	return set_bool(value, &config->probes);
}

static bool set_keeper(struct config *config, const char *value)
{
	return set_bool(value, &config->keeper);
}

static bool set_mode(const char *value, mode_t *mode)
{
	uint64_t number;

	if (!parse_number(value, 8, &number) || number > 0777)
		return false;
	*mode = (mode_t)number;
	return true;
}

static bool set_vmm_socket_mode(struct config *config, const char *value)
{
	return set_mode(value, &config->vmm_socket_mode);
}

static bool set_operator_socket_mode(struct config *config, const char *value)
{
	return set_mode(value, &config->operator_socket_mode);
}

static bool set_amount(const char *value, struct config_amount *amount)
{
	size_t length = strlen(value);
	bool percent = length > 0 && value[length - 1] == '%';
	char digits[24];
	uint64_t number;

	if (length >= sizeof digits)
		return false;
	memcpy(digits, value, length + 1);
	if (percent)
		digits[length - 1] = '\0';
	if (!parse_number(digits, 10, &number) || (percent && number > 100))
		return false;
	*amount = (struct config_amount){number, percent};
	return true;
}

static bool set_host_reserve(struct config *config, const char *value)
{
	return set_amount(value, &config->host_reserve);
}

static bool set_pressure_floor(struct config *config, const char *value)
{
	return set_amount(value, &config->pressure_floor);
}

static bool set_bounded(const char *value, uint64_t min, uint64_t max, uint64_t *number)
{
	uint64_t parsed;

	if (!parse_number(value, 10, &parsed) || parsed < min || parsed > max)
		return false;
	*number = parsed;
	return true;
}

static bool set_overcommit(struct config *config, const char *value)
{
	return set_bounded(value, 0, OVERCOMMIT_MAX, &config->overcommit);
}

static bool set_pressure_deadline(struct config *config, const char *value)
{
	return set_bounded(value, 1, PRESSURE_DEADLINE_MAX, &config->pressure_deadline);
}

static const struct {
	const char *section, *name;
	bool (*set)(struct config *config, const char *value); /* or NULL: a number at */
	size_t number;
	const char *expected;
} settings[] = {
	{"gate", "policy", config_set_gate, 0, "required or preferred"},
	{"gate", "probes", set_probes, 0, "yes or no"},
	{"keeper", "use", set_keeper, 0, "yes or no"},
	{"sockets", "vmm-mode", set_vmm_socket_mode, 0, "an octal file mode"},
	{"sockets", "admin-mode", set_operator_socket_mode, 0, "an octal file mode"},
	{"limits", "peers-per-user", NULL, offsetof(struct config, peers_per_user), "a number"},
	{"limits", "vms-per-user", NULL, offsetof(struct config, vms_per_user), "a number"},
	{"limits", "memories-per-user", NULL, offsetof(struct config, memories_per_user),
		"a number"},
	{"limits", "preallocations-per-user", NULL,
		offsetof(struct config, preallocations_per_user), "a number"},
	{"limits", "takers-per-owner", NULL, offsetof(struct config, takers_per_owner), "a number"},
	{"limits", "takers-per-user", NULL, offsetof(struct config, takers_per_user), "a number"},
	{"limits", "takers-on-host", NULL, offsetof(struct config, takers_on_host), "a number"},
	{"limits", "memories-per-vm", NULL, offsetof(struct config, memories_per_vm), "a number"},
	{"limits", "closed-memories-per-vm", NULL, offsetof(struct config, closed_memories_per_vm),
		"a number"},
	{"limits", "closed-memories-per-user", NULL,
		offsetof(struct config, closed_memories_per_user), "a number"},
	{"limits", "grants-per-vm", NULL, offsetof(struct config, grants_per_vm), "a number"},
	{"limits", "slots-per-vm", NULL, offsetof(struct config, slots_per_vm), "a number"},
	{"limits", "private-ranges-per-vm", NULL, offsetof(struct config, private_ranges_per_vm),
		"a number"},
	{"limits", "own-memory-per-vm", NULL, offsetof(struct config, own_memory_per_vm),
		"a number of bytes"},
	{"limits", "preallocations-per-vm", NULL, offsetof(struct config, preallocations_per_vm),
		"a number"},
	{"limits", "preallocations-on-host", NULL, offsetof(struct config, preallocations_on_host),
		"a number"},
	{"limits", "commit-limit", NULL, offsetof(struct config, commit_limit),
		"a number of bytes"},
	{"limits", "host-reserve", set_host_reserve, 0, "a number of bytes, or 0% to 100%"},
	{"limits", "overcommit", set_overcommit, 0, "a number of percent, at most 1000"},
	{"pressure", "floor", set_pressure_floor, 0, "a number of bytes, or 0% to 100%"},
	{"pressure", "deadline", set_pressure_deadline, 0,
		"a number of milliseconds, 1 to 3600000"},
};

#define SETTINGS (sizeof settings / sizeof *settings)

struct file_reading {
	struct config *config;
	struct config_lines lines;
};

static bool take_value(struct config *config, size_t index, const char *value)
{
	uint64_t *number = (uint64_t *)((char *)config + settings[index].number);

	return settings[index].set ? settings[index].set(config, value)
				   : parse_number(value, 10, number);
}

/* The sections where section is NULL, else its settings: "a, b, c"; "" where there are none. */
static void list_names(const char *section, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < SETTINGS && used < size; i++) {
		bool first = i == 0 || strcmp(settings[i - 1].section, settings[i].section) != 0;

		if (section ? strcmp(settings[i].section, section) != 0 : !first)
			continue;
		used += (size_t)snprintf(ret + used, size - used, "%s%s", used > 0 ? ", " : "",
			section ? settings[i].name : settings[i].section);
	}
}

static void refuse_name(struct file_reading *reading, const char *section, const char *name)
{
	char names[400];

	list_names(section, names, sizeof names);
	if (names[0]) {
		config_faults_add(reading->lines.faults, reading->lines.line, name,
			"there is no such setting in section [%s], which has %s", section, names);
		return;
	}
	list_names(NULL, names, sizeof names);
	config_faults_add(reading->lines.faults, reading->lines.line, name,
		"there is no section [%s]; there are %s", section, names);
}

/* inih's handler. What is wrong is noted, so that it goes on. */
static int read_setting(void *context, const char *section, const char *name, const char *value)
{
	struct file_reading *reading = context;

	for (size_t i = 0; i < SETTINGS; i++) {
		if (strcmp(settings[i].section, section) != 0 ||
			strcmp(settings[i].name, name) != 0)
			continue;
		if (!take_value(reading->config, i, value))
			config_faults_add(reading->lines.faults, reading->lines.line, name,
				"must be %s", settings[i].expected);
		return 1;
	}
	refuse_name(reading, section, name);
	return 1;
}

static void parse(struct file_reading *reading)
{
	int line = ini_parse_stream(config_lines_read, &reading->lines, read_setting, reading);

	if (line > 0)
		config_faults_add(reading->lines.faults, (unsigned)line, "",
			"must be [SECTION], NAME = VALUE, or a comment after #");
	else if (line < 0)
		config_faults_add(reading->lines.faults, 0, "", "%s", strerror(ENOMEM));
}

bool config_file_read(
	const char *path, bool required, struct config *config, struct config_faults *ret_faults)
{
	struct config read = *config;
	struct file_reading reading = {.config = &read};
	int r;

	*ret_faults = (struct config_faults){.count = 0};
	snprintf(ret_faults->file, sizeof ret_faults->file, "%s", path);
	r = config_lines_open(path, ret_faults, &reading.lines);
	if (r == -ENOENT && !required)
		return true;
	if (r < 0) {
		config_faults_add(ret_faults, 0, "", "%s", strerror(-r));
		return false;
	}
	parse(&reading);
	config_lines_close(&reading.lines);
	config_faults_sort(ret_faults);
	if (ret_faults->count == 0)
		*config = read;
	return ret_faults->count == 0;
}
