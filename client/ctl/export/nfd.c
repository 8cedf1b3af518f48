/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kubernetes: a feature file for Node Feature Discovery's source "local", a line for each feature.
 * https://kubernetes-sigs.github.io/node-feature-discovery/stable/usage/customization-guide
 */
#include <inttypes.h>
#include <time.h>

#include "client/ctl/export/export.h"
#include "protocol/json.h"

#define MIB_SHIFT 20

/* After which features are none any more, unless the file is written again: three times as long as
 * the timer waits. */
#define EXPIRY_SECONDS 900

static void print_expiry(FILE *file)
{
	time_t expiry = time(NULL) + EXPIRY_SECONDS;
	struct tm utc;
	char text[32] = "";

	if (gmtime_r(&expiry, &utc))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	fprintf(file, "# +expiry-time=%s\n", text);
}

static void print_mib(
	const struct json_object *node, const char *member, const char *feature, FILE *file)
{
	uint64_t number = 0, bytes = 0;

	json_get_uint(node, "node", &number);
	json_get_uint(node, member, &bytes);
	fprintf(file, "gmemd.node%" PRIu64 ".%s=%" PRIu64 "\n", number, feature,
		bytes >> MIB_SHIFT);
}

void export_nfd(const struct export_facts *facts, FILE *file)
{
	bool gate = json_get_bool(json_get(facts->host, "gate"), "available");
	uint64_t attributes = 0;

	json_get_uint(json_get(facts->host, "kernel"), "memory_attributes", &attributes);
	print_expiry(file);
	fputs("gmemd.present=true\n", file);
	fprintf(file, "gmemd.gate=%s\n", gate ? "true" : "false");
	fprintf(file, "gmemd.private-memory=%s\n", attributes > 0 ? "true" : "false");
	fprintf(file, "gmemd.nodes=%zu\n", json_length(facts->nodes));
	for (size_t i = 0; i < json_length(facts->nodes); i++) {
		print_mib(json_at(facts->nodes, i), "limit", "limit-mib", file);
		print_mib(json_at(facts->nodes, i), "uncommitted", "uncommitted-mib", file);
	}
}
