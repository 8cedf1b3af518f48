/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.get, config.reload.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config/config_fault.h"
#include "daemon/config/config_setting.h"
#include "daemon/config/config_tenant.h"
#include "daemon/methods/methods.h"
#include "daemon/request/page_cursor.h"
#include "protocol/json.h"

/* The sources are in the order of their names. */
_Static_assert(CONFIG_FROM_DEFAULT == (int)SOURCE_DEFAULT, "source");
_Static_assert(CONFIG_FROM_COMMAND_LINE == (int)SOURCE_COMMAND_LINE, "source");
_Static_assert(CONFIG_FROM_FILE == (int)SOURCE_FILE, "source");
_Static_assert(CONFIG_FROM_EARLIER == (int)SOURCE_EARLIER, "source");

/* What one takes in an answer at most, without its file. */
#define SETTING_BYTES 400

/* Of a file that is told of; JSON may write a byte of it in six. */
#define FILE_BYTES_MAX 512

static void describe_origin(
	struct json_object *object, const struct config *config, const struct config_origin *origin)
{
	char file[FILE_BYTES_MAX];

	json_add_string(object, "source", config_source_names[origin->source]);
	if (origin->source != CONFIG_FROM_FILE)
		return;
	snprintf(file, sizeof file, "%s", config->paths.all[origin->file]);
	json_add_string(object, "file", file);
	json_add_uint(object, "line", origin->line);
}

static bool holds_later(const struct gmemd *gmemd, const struct config_setting *setting)
{
	return !config_setting_equal(setting, &gmemd->config, &gmemd->configured);
}

static void describe_setting(
	struct json_object *object, const struct gmemd *gmemd, const struct config_setting *setting)
{
	char value[CONFIG_VALUE_SIZE];

	json_add_string(object, "section", setting->section);
	json_add_string(object, "name", setting->name);
	config_setting_print(setting, &gmemd->config, value);
	json_add_string(object, "value", value);
	describe_origin(object, &gmemd->config, &gmemd->config.origins[setting - config_settings]);
	if (!holds_later(gmemd, setting))
		return;
	config_setting_print(setting, &gmemd->configured, value);
	json_add_string(object, "at_next_start", value);
}

static size_t bytes_of(const struct gmemd *gmemd, unsigned index)
{
	const struct config_origin *origin = &gmemd->config.origins[index];

	if (origin->source != CONFIG_FROM_FILE)
		return SETTING_BYTES;
	return SETTING_BYTES + 6 * strnlen(gmemd->config.paths.all[origin->file], FILE_BYTES_MAX);
}

/* Those of tenants come after the others, each tenant's with a number, whether it is set or not. */
struct tenant_setting {
	const struct config_tenant *tenant;
	const struct config_setting *setting;
	const struct config_origin *origin;
};

/* False behind the last. */
static bool find_tenant_setting(
	const struct config *config, uint64_t index, struct tenant_setting *ret)
{
	uint64_t place = index / config_tenant_settings_count;
	unsigned number = (unsigned)(index % config_tenant_settings_count);

	if (place >= config->tenants.count)
		return false;
	ret->tenant = config->tenants.all[place];
	ret->setting = &config_tenant_settings[number];
	ret->origin = &ret->tenant->origins[number];
	return true;
}

static void describe_tenant_setting(struct json_object *object, const struct config *config,
	const struct tenant_setting *setting)
{
	char section[sizeof TENANT_SECTION + TENANT_NAME_SIZE], value[CONFIG_VALUE_SIZE];

	snprintf(section, sizeof section, TENANT_SECTION "%s", setting->tenant->name);
	json_add_string(object, "section", section);
	json_add_string(object, "name", setting->setting->name);
	config_setting_print(setting->setting, setting->tenant, value);
	json_add_string(object, "value", value);
	describe_origin(object, config, setting->origin);
}

/* A default of a tenant's is that it has none of its own. Returns where the next page begins; 0:
 * nowhere. */
static uint64_t list_tenants(
	const struct config *config, struct json_object *list, uint64_t index, size_t bytes)
{
	struct tenant_setting setting;

	for (; find_tenant_setting(config, index, &setting); index++) {
		if (setting.origin->source == CONFIG_FROM_DEFAULT)
			continue;
		bytes += SETTING_BYTES + CONFIG_VALUE_SIZE +
			 6 * strnlen(config->paths.all[setting.origin->file], FILE_BYTES_MAX);
		if (bytes > PAGE_BYTES_MAX)
			return index;
		describe_tenant_setting(json_append_object(list), config, &setting);
	}
	return 0;
}

int handle_config_get(struct request *request)
{
	const struct gmemd *gmemd = request->gmemd;
	const char *cursor = request->parameters.config_get.cursor;
	struct json_object *list;
	uint64_t index = 0;
	size_t bytes = 0;

	if (cursor && !page_cursor_read(cursor, "setting", &index))
		return page_cursor_error(request);
	list = json_add_array(request->result, "settings");
	for (; index < config_settings_count; index++) {
		bytes += bytes_of(gmemd, (unsigned)index);
		if (bytes > PAGE_BYTES_MAX) {
			page_cursor_add(request->result, "setting", index);
			return 0;
		}
		describe_setting(json_append_object(list), gmemd, &config_settings[index]);
	}
	index = list_tenants(&gmemd->config, list, index - config_settings_count, bytes);
	if (index > 0)
		page_cursor_add(request->result, "setting", index + config_settings_count);
	return 0;
}

/* All faults, where the message has room for the first. */
static int refused(struct request *request)
{
	const struct config_faults *faults = request->gmemd->refusal;
	const struct config_fault *first = &faults->all[0];
	struct rpc_error *error = &request->error;
	char told[CONFIG_FAULT_TEXT_MAX];
	struct json_object *list;

	config_faults_print(faults, 0, told, sizeof told);
	rpc_error_configuration(error, first->file, first->line, first->setting, told);
	rpc_error_describe(
		error, "The configuration is refused, and what holds is as it was: %s.", told);
	list = json_add_array(error->data, "faults");
	for (unsigned i = 0; i < faults->count; i++) {
		config_faults_print(faults, i, told, FILE_BYTES_MAX);
		json_append_string(list, told);
	}
	return error->code;
}

int handle_config_reload(struct request *request)
{
	struct gmemd *gmemd = request->gmemd;
	int r = gmemd->reload(gmemd);
	struct json_object *list;

	if (r == -EINVAL)
		return refused(request);
	if (r < 0)
		return rpc_error_internal(&request->error, "no memory");
	json_add_uint(request->result, "files", gmemd->config.paths.count);
	list = json_add_array(request->result, "at_next_start");
	for (unsigned i = 0; i < config_settings_count; i++) {
		struct json_object *object;

		if (!holds_later(gmemd, &config_settings[i]))
			continue;
		object = json_append_object(list);
		json_add_string(object, "section", config_settings[i].section);
		json_add_string(object, "name", config_settings[i].name);
	}
	return 0;
}
