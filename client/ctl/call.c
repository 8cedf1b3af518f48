/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl call: any method.
 */
#include <string.h>

#include "client/ctl/report.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

enum ctl_status ctl_call(struct ctl *ctl, char **arguments)
{
	const char *text = arguments[1] ? arguments[1] : "{}", *why;
	struct json_object *params = json_parse(text, strlen(text), &why), *result;
	enum ctl_status status;

	if (!json_is_object(params)) {
		status = report_usage(
			ctl, "JSON must be an object: %s", params ? "it is something else" : why);
		json_unref(params);
		return status;
	}
	ctl->verbatim = true;
	/* It may be a method that takes as long as what it is called for. */
	ctl->patient = true;
	status = request(ctl, arguments[0], params, &result);
	if (status != CTL_DONE)
		return status;
	print_value(ctl, result);
	json_unref(result);
	return CTL_DONE;
}
