/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemd tells of itself as OpenMetrics 1.0 text: https://prometheus.io/docs/specs/om/. A
 * metric is called in gmemd's answer as it is in the text.
 */
#pragma once

#include <stdio.h>

struct json_object;

struct openmetrics {
	struct json_object *metrics; /* metrics.get's result; NULL: gmemd has not answered */
	struct json_object *nodes;   /* node.list's result; NULL: none */
	struct json_object *vms;     /* vm.list's; NULL: nothing of single VMs */
};

/* The whole text, with its end. gmemd_up is 1 where gmemd has answered, else 0 and all there is. */
void openmetrics_print(const struct openmetrics *told, FILE *file);
