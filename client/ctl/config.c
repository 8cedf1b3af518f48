/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl config and reload: the settings that hold, and reading them anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/table.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

#define FROM "from" /* a member of our own */

static const struct column columns[] = {
	{"section", "SECTION", TEXT_PLAIN},
	{"name", "NAME", TEXT_PLAIN},
	{"value", "VALUE", TEXT_PLAIN},
	{FROM, "FROM", TEXT_PLAIN},
	{"at_next_start", "AT NEXT START", TEXT_PLAIN},
	{.member = NULL},
};

const struct table config_tables[] = {
	{"Settings", columns, METHOD_CONFIG_GET, "settings", FROM,
		"Where the value comes from: FILE:LINE, default, command_line, or what the files "
		"were earlier."},
	{.columns = NULL},
};

static void add_from(struct json_object *setting)
{
	const char *file = json_get_string(setting, "file");
	char from[4096 + 16];
	uint64_t line = 0;

	json_get_uint(setting, "line", &line);
	if (file[0])
		snprintf(from, sizeof from, "%s:%" PRIu64, file, line);
	else
		snprintf(from, sizeof from, "%s", json_get_string(setting, "source"));
	json_add_string(setting, FROM, from);
}

enum ctl_status ctl_config(struct ctl *ctl, char **arguments)
{
	struct json_object *whole, *settings;
	enum ctl_status status;

	(void)arguments;
	status = request_whole(ctl, "config.get", &whole);
	if (status != CTL_DONE)
		return status;
	settings = json_get(whole, "settings");
	if (ctl->json) {
		print_value(ctl, whole);
	} else {
		for (size_t i = 0; i < json_length(settings); i++)
			add_from(json_at(settings, i));
		status = print_table(ctl, columns, settings);
	}
	json_unref(whole);
	return status;
}

enum ctl_status ctl_reload(struct ctl *ctl, char **arguments)
{
	struct json_object *result, *later;
	enum ctl_status status;

	(void)arguments;
	status = request(ctl, "config.reload", NULL, &result);
	if (status != CTL_DONE)
		return status;
	later = json_get(result, "at_next_start");
	if (ctl->json)
		print_value(ctl, result);
	for (size_t i = 0; !ctl->json && i < json_length(later); i++)
		printf("[%s] %s is changed from gmemd's next start on\n",
			json_get_string(json_at(later, i), "section"),
			json_get_string(json_at(later, i), "name"));
	json_unref(result);
	return status;
}
