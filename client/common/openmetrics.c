/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OpenMetrics. See openmetrics.h.
 */
#include "client/common/openmetrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "protocol/acts.h"
#include "protocol/json.h"

#define TOTAL "_total"

/* What a name ends with, before a counter's suffix, is its unit. */
static const char *const units[] = {"bytes", "seconds", NULL};

/* The labels of a series, each with a member of the object that it is of. */
struct label {
	const char *name, *member;
};

/* A gauge that each object of an array has. */
struct family {
	const char *name, *member, *help;
};

static const struct label node_labels[] = {{"node", "node"}, {.name = NULL}};

static const struct family node_families[] = {
	{"gmemd_node_size_bytes", "size", "Bytes of memory that the NUMA node has."},
	{"gmemd_node_free_bytes", "free", "Bytes of them that nobody uses."},
	{"gmemd_node_available_bytes", "available",
		"Bytes of them that are to be had without swapping, at a guess."},
	{"gmemd_node_reserve_bytes", "reserve", "Bytes of them that VMs can't have."},
	{"gmemd_node_commit_limit_bytes", "limit", "Bytes that may be committed of the node."},
	{"gmemd_node_committed_bytes", "committed", "Bytes charged for memories of the node."},
	{"gmemd_node_promised_bytes", "promised", "Bytes promised of the node."},
	{"gmemd_node_uncommitted_bytes", "uncommitted", "Bytes of the node that would still fit."},
	{"gmemd_node_resident_bytes", "resident",
		"Bytes of pages of memories of the node, when they were last counted."},
	{.name = NULL},
};

/* Name and uuid are a tenant's to choose: the id alone is one VM's. */
static const struct label vm_labels[] = {
	{"vm", "vm"}, {"uuid", "uuid"}, {"name", "name"}, {.name = NULL}};

static const struct family vm_families[] = {
	{"gmemd_vm_committed_bytes", "committed", "Bytes charged to the VM."},
	{"gmemd_vm_promised_bytes", "promised", "Bytes that no other VM can have."},
	{"gmemd_vm_resident_bytes", "resident", "Bytes of pages allocated in its memories."},
	{"gmemd_vm_private_bytes", "private", "Bytes of its guest's memory that are private."},
	{"gmemd_vm_closed_resident_bytes", "closed_resident",
		"Bytes of pages in memories that it has closed."},
	{.name = NULL},
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool is_name(const char *name)
{
	static const char characters[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	return name[0] > '9' && name[strspn(name, characters)] == '\0';
}

static void print_escaped(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", file);
			continue;
		}
		if (*text == '\\' || *text == '"')
			putc('\\', file);
		putc(*text, file);
	}
}

static void print_family(FILE *file, const char *name, const char *type, const char *help)
{
	fprintf(file, "# TYPE %s %s\n", name, type);
	for (const char *const *unit = units; *unit; unit++) {
		char end[16];

		snprintf(end, sizeof end, "_%s", *unit);
		if (ends_with(name, end))
			fprintf(file, "# UNIT %s %s\n", name, *unit);
	}
	fprintf(file, "# HELP %s ", name);
	print_escaped(file, help);
	putc('\n', file);
}

/* What gmemd has by itself */

/* "" where this program does not know the metric. */
static const char *summary_of(const char *name)
{
	for (const struct field *field = metric_fields; field->name; field++) {
		if (strcmp(field->name, name) == 0)
			return field->summary;
	}
	return "";
}

static void print_number(FILE *file, const char *name, uint64_t number)
{
	bool counter = ends_with(name, TOTAL);
	size_t length = strlen(name) - (counter ? strlen(TOTAL) : 0);
	char family[128];

	/* A counter's family is called as the counter is, without its suffix. */
	snprintf(family, sizeof family, "%.*s", (int)length, name);
	print_family(file, family, counter ? "counter" : "gauge", summary_of(name));
	fprintf(file, "%s %" PRIu64 "\n", name, number);
}

/* Of a histogram's bucket: "2.5e-05", "1.0", as OpenMetrics writes them. */
static void print_bound(FILE *file, uint64_t microseconds)
{
	char text[32];

	snprintf(text, sizeof text, "%.6g", (double)microseconds / 1e6);
	fprintf(file, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_method_times(FILE *file, const char *name, const struct json_object *bounds,
	const struct json_object *times)
{
	const struct json_object *buckets = json_get(times, "buckets");
	const char *method = json_get_string(times, "method");
	uint64_t count = 0, sum = 0, bound = 0;

	for (size_t i = 0; i < json_length(buckets) && i < json_length(bounds); i++) {
		json_uint(json_at(bounds, i), &bound);
		json_uint(json_at(buckets, i), &count);
		fprintf(file, "%s_bucket{method=\"%s\",le=\"", name, method);
		print_bound(file, bound);
		fprintf(file, "\"} %" PRIu64 "\n", count);
	}
	json_get_uint(times, "count", &count);
	json_get_uint(times, "sum_us", &sum);
	fprintf(file, "%s_bucket{method=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, method, count);
	fprintf(file, "%s_count{method=\"%s\"} %" PRIu64 "\n", name, method, count);
	fprintf(file, "%s_sum{method=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n", name, method,
		sum / 1000000, sum % 1000000);
}

static void print_histograms(FILE *file, const char *name, const struct json_object *times)
{
	const struct json_object *bounds = json_get(times, "bounds_us");
	const struct json_object *list = json_get(times, "methods");

	print_family(file, name, "histogram", summary_of(name));
	for (size_t i = 0; i < json_length(list); i++)
		print_method_times(file, name, bounds, json_at(list, i));
}

static bool print_metric(const char *name, struct json_object *value, void *file)
{
	uint64_t number;

	if (!is_name(name))
		return true;
	if (json_uint(value, &number))
		print_number(file, name, number);
	else if (json_is_object(value))
		print_histograms(file, name, value);
	return true;
}

/* What there are several of */

static void print_label(
	FILE *file, const struct label *label, const struct json_object *object, bool first)
{
	struct json_object *value = json_get(object, label->member);

	fprintf(file, "%s%s=\"", first ? "" : ",", label->name);
	if (json_is_string(value))
		print_escaped(file, json_string(value));
	else if (value)
		fputs(json_print(value, NULL), file);
	putc('"', file);
}

static void print_series(FILE *file, const struct family *family, const struct label *labels,
	const struct json_object *object)
{
	uint64_t number = 0;

	json_get_uint(object, family->member, &number);
	fprintf(file, "%s{", family->name);
	for (size_t i = 0; labels[i].name; i++)
		print_label(file, &labels[i], object, /* first= */ i == 0);
	fprintf(file, "} %" PRIu64 "\n", number);
}

static void print_all(FILE *file, const struct family *families, const struct label *labels,
	const struct json_object *objects)
{
	if (json_length(objects) == 0)
		return;
	for (; families->name; families++) {
		print_family(file, families->name, "gauge", families->help);
		for (size_t i = 0; i < json_length(objects); i++)
			print_series(file, families, labels, json_at(objects, i));
	}
}

void openmetrics_print(const struct openmetrics *told, FILE *file)
{
	print_family(file, "gmemd_up", "gauge", "1 where gmemd has answered, else 0.");
	fprintf(file, "gmemd_up %d\n", told->metrics ? 1 : 0);
	if (told->metrics)
		json_each(told->metrics, print_metric, file);
	print_all(file, node_families, node_labels, json_get(told->nodes, "nodes"));
	print_all(file, vm_families, vm_labels, json_get(told->vms, "vms"));
	fputs("# EOF\n", file);
}
