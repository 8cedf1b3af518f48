/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl export: what schedulers of fleets are told of this host, in the form that theirs read.
 */
#pragma once

#include <stdio.h>

struct json_object;

/* What gmemd has answered. */
struct export_facts {
	struct json_object *host;  /* host.describe's result */
	struct json_object *nodes; /* node.list's nodes */
};

/* A provider configuration of nova's, schema_version 1.0: a resource class for each NUMA node. */
void export_nova_provider(const struct export_facts *facts, FILE *file);
/* A feature file of Node Feature Discovery's source "local". */
void export_nfd(const struct export_facts *facts, FILE *file);

/* Whole, in the place of what is there, or not at all; to be read by all. A negative errno. */
int export_write(const char *path, const char *text, size_t length);
