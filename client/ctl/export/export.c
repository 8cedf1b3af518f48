/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl export: what it says, and to where. See export.h.
 */
#include "client/ctl/export/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

struct form {
	const char *name;
	void (*print)(const struct export_facts *facts, FILE *file);
};

static const struct form forms[] = {
	{"nova-provider", export_nova_provider}, {"nfd", export_nfd}, {.name = NULL}};

static const struct form *find_form(const char *name)
{
	for (const struct form *form = forms; form->name; form++) {
		if (strcmp(form->name, name) == 0)
			return form;
	}
	return NULL;
}

static enum ctl_status write_file(
	const struct ctl *ctl, const struct form *form, const struct export_facts *facts)
{
	size_t length = 0;
	char *text = NULL;
	FILE *file = open_memstream(&text, &length);
	int r = -ENOMEM;

	if (file) {
		form->print(facts, file);
		if (fclose(file) == 0)
			r = export_write(ctl->output, text, length);
	}
	free(text);
	return r < 0 ? report_system(ctl, ctl->output, r) : CTL_DONE;
}

enum ctl_status ctl_export(struct ctl *ctl, char **arguments)
{
	const struct form *form = find_form(arguments[0]);
	struct json_object *host = NULL, *list = NULL;
	enum ctl_status status;

	if (!form)
		return report_usage(ctl,
			"export: there is no form \"%s\"; there are nova-provider "
			"and nfd",
			arguments[0]);
	status = request(ctl, "host.describe", NULL, &host);
	if (status == CTL_DONE)
		status = request_whole(ctl, "node.list", &list);
	if (status == CTL_DONE) {
		const struct export_facts facts = {host, json_get(list, "nodes")};

		if (ctl->output)
			status = write_file(ctl, form, &facts);
		else
			form->print(&facts, stdout);
	}
	json_unref(list);
	json_unref(host);
	return status;
}
