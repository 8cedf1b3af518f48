/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl metrics: counters and gauges as OpenMetrics text, for a collector of text files say.
 */
#include <stdio.h>

#include "client/common/openmetrics.h"
#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "protocol/json.h"

/* VMs first: their pages are counted for that. */
static enum ctl_status request_all(struct ctl *ctl, struct openmetrics *told)
{
	enum ctl_status status = request_vms(ctl, &told->vms);

	if (status == CTL_DONE && !ctl->vms)
		told->vms = json_unref(told->vms);
	if (status == CTL_DONE)
		status = request(ctl, "metrics.get", NULL, &told->metrics);
	if (status == CTL_DONE)
		status = request_whole(ctl, "node.list", &told->nodes);
	return status;
}

enum ctl_status ctl_metrics(struct ctl *ctl, char **arguments)
{
	struct openmetrics told = {.metrics = NULL};
	enum ctl_status status;

	(void)arguments;
	status = request_all(ctl, &told);
	if (status == CTL_DONE && ctl->json)
		print_value(ctl, told.metrics);
	else if (status == CTL_DONE)
		openmetrics_print(&told, stdout);
	json_unref(told.vms);
	json_unref(told.nodes);
	json_unref(told.metrics);
	return status;
}
