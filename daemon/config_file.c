/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file. See config_file.h.
 */
#include "daemon/config_file.h"

#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool set_keeper(struct config *config, const char *value)
{
	config->keeper = strcmp(value, "yes") == 0;
	return config->keeper || strcmp(value, "no") == 0;
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
	{"keeper", "use", set_keeper, 0, "yes or no"},
	{"sockets", "vmm-mode", set_vmm_socket_mode, 0, "an octal file mode"},
	{"sockets", "admin-mode", set_operator_socket_mode, 0, "an octal file mode"},
	{"limits", "peers-per-user", NULL, offsetof(struct config, peers_per_user), "a number"},
	{"limits", "vms-per-user", NULL, offsetof(struct config, vms_per_user), "a number"},
	{"limits", "memories-per-user", NULL, offsetof(struct config, memories_per_user),
		"a number"},
	{"limits", "preallocations-per-user", NULL,
		offsetof(struct config, preallocations_per_user), "a number"},
	{"limits", "batches-per-user", NULL, offsetof(struct config, batches_per_user), "a number"},
	{"limits", "takers-per-owner", NULL, offsetof(struct config, takers_per_owner), "a number"},
	{"limits", "takers-per-user", NULL, offsetof(struct config, takers_per_user), "a number"},
	{"limits", "takers-on-host", NULL, offsetof(struct config, takers_on_host), "a number"},
	{"limits", "memories-per-vm", NULL, offsetof(struct config, memories_per_vm), "a number"},
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

struct file_reading {
	struct config *config;
	const char *path;
};

/* inih's handler: 1 for a setting that is right. */
static int read_setting(void *context, const char *section, const char *name, const char *value)
{
	struct file_reading *reading = context;

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		uint64_t *number = (uint64_t *)((char *)reading->config + settings[i].number);

		if (strcmp(settings[i].section, section) != 0 ||
			strcmp(settings[i].name, name) != 0)
			continue;
		if (settings[i].set ? settings[i].set(reading->config, value)
				    : parse_number(value, 10, number))
			return 1;
		fprintf(stderr, "gmemd: %s: [%s] %s must be %s\n", reading->path, section, name,
			settings[i].expected);
		return 0;
	}
	fprintf(stderr, "gmemd: %s: there is no setting [%s] %s\n", reading->path, section, name);
	return 0;
}

/* ini_parse() takes what can be opened and not read, such as a directory, for an empty file. */
static int parse_file(struct file_reading *reading)
{
	FILE *file = fopen(reading->path, "re");
	int line, number;

	if (!file)
		return -1;
	line = ini_parse_file(file, read_setting, reading);
	number = errno;
	if (line == 0 && ferror(file))
		line = -1;
	fclose(file);
	errno = number;
	return line;
}

bool config_file_read(const char *path, bool required, struct config *config)
{
	struct file_reading reading = {config, path};
	int line = parse_file(&reading);

	if (line == -1 && !required && errno == ENOENT)
		return true;
	if (line < 0)
		fprintf(stderr, "gmemd: %s: %s\n", path, strerror(errno));
	if (line > 0)
		fprintf(stderr, "gmemd: %s: line %d is wrong\n", path, line);
	return line == 0;
}
