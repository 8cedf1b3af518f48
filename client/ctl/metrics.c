/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl metrics: counters and gauges as OpenMetrics 1.0 text, for a collector of text files say.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl/request.h"
#include "client/ctl/text.h"
#include "client/ctl/verb.h"
#include "protocol/acts.h"
#include "protocol/field_types.h"
#include "protocol/json.h"

#define TOTAL "_total"
#define BYTES "_bytes"

/* "" where this gmemctl does not know the metric. */
static const char *summary_of(const char *name)
{
	for (const struct field *field = metric_fields; field->name; field++) {
		if (strcmp(field->name, name) == 0)
			return field->summary;
	}
	return "";
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* A counter's family is called as the counter is, without its suffix. */
static bool print_metric(const char *name, struct json_object *value, void *context)
{
	bool counter = ends_with(name, TOTAL);
	int family = (int)(strlen(name) - (counter ? strlen(TOTAL) : 0));
	uint64_t number;

	(void)context;
	if (!json_uint(value, &number))
		return true;
	printf("# TYPE %.*s %s\n", family, name, counter ? "counter" : "gauge");
	if (ends_with(name, BYTES))
		printf("# UNIT %s bytes\n", name);
	printf("# HELP %.*s %s\n", family, name, summary_of(name));
	printf("%s %" PRIu64 "\n", name, number);
	return true;
}

enum ctl_status ctl_metrics(struct ctl *ctl, char **arguments)
{
	struct json_object *metrics;
	enum ctl_status status;

	(void)arguments;
	status = request(ctl, "metrics.get", NULL, &metrics);
	if (status != CTL_DONE)
		return status;
	if (ctl->json) {
		print_value(ctl, metrics);
	} else {
		json_each(metrics, print_metric, NULL);
		puts("# EOF");
	}
	json_unref(metrics);
	return CTL_DONE;
}
