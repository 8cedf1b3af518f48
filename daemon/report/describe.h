/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptions: VMs and what they have, as JSON.
 */
#pragma once

#include "daemon/vm/call.h"

struct json_object;

/* Each adds its members to an object. What is resident is as it was last counted. */
void describe_vm(struct json_object *object, const struct vm *vm);
void describe_memory(struct json_object *object, const struct memory *memory);
void describe_closed_memory(struct json_object *object, const struct memory *memory);
void describe_slot(struct json_object *object, const struct slot *slot);
void describe_grant(struct json_object *object, const struct grant *grant);
void describe_holder(struct json_object *object, struct vm *vm, const struct grant *holding);
/* An object of its own; NULL without memory. */
struct json_object *describe_call(const struct call *call);
