/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration files. See config_file.h.
 */
#include "daemon/config/config_file.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config_lines.h"
#include "daemon/config/config_setting.h"
#include "daemon/config/config_tenant.h"
#include "kernel/base/cleanup.h"

#define SUFFIX ".conf"
/* Beside the first. */
#define FILES_MAX 256

struct file_reading {
	struct config *config;
	struct config_lines lines;
	struct config_tenant *tenant; /* whose section it is; NULL: it is none's */
};

static struct config_origin origin_of(const struct file_reading *reading)
{
	return (struct config_origin){
		.source = CONFIG_FROM_FILE,
		.file = reading->config->paths.count - 1,
		.line = reading->lines.line,
	};
}

static void refuse_name(struct file_reading *reading, const char *section, const char *name)
{
	char names[400];

	config_setting_names(section, names, sizeof names);
	if (names[0]) {
		config_faults_add(reading->lines.faults, reading->lines.line, name,
			"there is no such setting in section [%s], which has %s", section, names);
		return;
	}
	config_setting_names(NULL, names, sizeof names);
	config_faults_add(reading->lines.faults, reading->lines.line, name,
		"there is no section [%s]; there are %s, " TENANT_SECTION "NAME", section, names);
}

static void take_value(struct file_reading *reading, const struct config_setting *setting,
	const char *value, void *where, struct config_origin *origin)
{
	if (!config_setting_parse(setting, value, where))
		config_faults_add(reading->lines.faults, reading->lines.line, setting->name,
			"must be %s", setting->expected);
	*origin = origin_of(reading);
}

static void take_of_tenant(struct file_reading *reading, const char *name, const char *value)
{
	const struct config_setting *setting = config_tenant_setting_find(name);
	struct config_tenant *tenant = reading->tenant;
	char names[400];

	if (setting) {
		take_value(reading, setting, value, tenant,
			&tenant->origins[setting - config_tenant_settings]);
		return;
	}
	config_tenant_setting_names(names, sizeof names);
	config_faults_add(reading->lines.faults, reading->lines.line, name,
		"there is no such setting of a tenant, which has %s", names);
}

/* inih's handler. What is wrong is noted, so that it goes on. */
static int read_setting(void *context, const char *section, const char *name, const char *value)
{
	const struct config_setting *setting = config_setting_find(section, name);
	struct file_reading *reading = context;

	if (reading->tenant)
		take_of_tenant(reading, name, value);
	else if (setting)
		take_value(reading, setting, value, reading->config,
			config_setting_origin(reading->config, setting));
	else if (!config_section_is_tenant(section)) /* whose name was refused */
		refuse_name(reading, section, name);
	return 1;
}

/* libinih tells of no section that has no setting, and cuts long names. */
static void begin_section(struct file_reading *reading, const char *line)
{
	const struct config_origin origin = origin_of(reading);
	size_t length = strcspn(line, "]");
	char section[CONFIG_SECTION_MAX + 1];

	reading->tenant = NULL;
	if (line[length] != ']')
		return;
	if (length > CONFIG_SECTION_MAX) {
		config_faults_add(reading->lines.faults, origin.line, "",
			"must be [SECTION] of at most %d bytes; it has %zu", CONFIG_SECTION_MAX,
			length);
		return;
	}
	memcpy(section, line, length);
	section[length] = '\0';
	if (config_section_is_tenant(section))
		reading->tenant = config_tenants_section(
			&reading->config->tenants, section, &origin, reading->lines.faults);
}

/* inih's reader. */
static char *read_line(char *line, int size, void *context)
{
	struct file_reading *reading = context;
	char *read = config_lines_read(line, size, &reading->lines);

	if (read && read[0] == '[')
		begin_section(reading, read + 1);
	return read;
}

static void parse(struct file_reading *reading)
{
	int line = ini_parse_stream(read_line, reading, read_setting, reading);

	if (line > 0)
		config_faults_add(reading->lines.faults, (unsigned)line, "",
			"must be [SECTION], NAME = VALUE, or a comment after #");
	else if (line < 0)
		config_faults_add(reading->lines.faults, 0, "", "%s", strerror(ENOMEM));
}

static int note_path(struct config_paths *paths, const char *path)
{
	char **all = reallocarray(paths->all, paths->count + 1, sizeof *all);

	if (!all)
		return -ENOMEM;
	paths->all = all;
	all[paths->count] = strdup(path);
	if (!all[paths->count])
		return -ENOMEM;
	paths->count++;
	return 0;
}

static void read_file(
	const char *path, bool required, struct config *config, struct config_faults *faults)
{
	struct file_reading reading = {.config = config};
	int r;

	config_faults_of_file(faults, path);
	r = config_lines_open(path, faults, &reading.lines);
	if (r == -ENOENT && !required)
		return;
	if (r == 0) {
		r = note_path(&config->paths, path);
		if (r == 0)
			parse(&reading);
		config_lines_close(&reading.lines);
	}
	if (r < 0)
		config_faults_add(faults, 0, "", "%s", strerror(-r));
}

/* Those beside it */

static int is_configuration(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);

	return entry->d_name[0] != '.' && length > suffix &&
	       strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_entry(const char *directory, const char *name, struct config *config,
	struct config_faults *faults)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		path = NULL;
	if (path)
		read_file(path, /* required= */ true, config, faults);
	else
		config_faults_add(faults, 0, "", "%s", strerror(ENOMEM));
}

static void read_directory(
	const char *directory, struct config *config, struct config_faults *faults)
{
	struct dirent **entries = NULL;
	int count = scandir(directory, &entries, is_configuration, compare_names);

	config_faults_of_file(faults, directory);
	if (count < 0 && errno != ENOENT && errno != ENOTDIR)
		config_faults_add(faults, 0, "", "%s", strerror(errno));
	if (count > FILES_MAX)
		config_faults_add(
			faults, 0, "", "it must have at most %d files *" SUFFIX, FILES_MAX);
	for (int i = 0; i < count; i++) {
		if (i < FILES_MAX)
			read_entry(directory, entries[i]->d_name, config, faults);
		free(entries[i]);
	}
	free(entries);
}

bool config_file_read(
	const char *path, bool required, struct config *config, struct config_faults *ret_faults)
{
	cleanup_free char *directory = NULL;
	struct config read = *config;

	*ret_faults = (struct config_faults){.count = 0};
	read.paths = (struct config_paths){.count = 0};
	read.tenants = (struct config_tenants){.count = 0};
	read_file(path, required, &read, ret_faults);
	if (asprintf(&directory, "%s.d", path) < 0)
		directory = NULL;
	if (directory)
		read_directory(directory, &read, ret_faults);
	else
		config_faults_add(ret_faults, 0, "", "%s", strerror(ENOMEM));
	config_faults_sort(ret_faults);
	if (ret_faults->count == 0)
		config_tenants_check(&read, ret_faults);
	if (ret_faults->count > 0) {
		config_clear(&read);
		return false;
	}
	*config = read;
	return true;
}
