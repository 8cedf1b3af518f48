/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd as gmemd-libvirt knows it: its VMs, and what is set of them. Where it is away it is looked
 * for with pauses, and nothing waits for it.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct json_object;

/* appeared is called with context once gmemd is there, in the loop, and each time that it is there
 * again. socket must live as long. -ENOMEM. */
int broker_new(struct event_base *base, const char *socket, void (*appeared)(void *context),
	void *context, struct broker **ret);
/* Takes NULL, returns NULL. */
struct broker *broker_free(struct broker *broker);

bool broker_is_there(const struct broker *broker);

/* The VMs that are not released, as vm.list has them; the caller's. NULL where gmemd isn't there,
 * or doesn't answer as it should. */
struct json_object *broker_vms(struct broker *broker);

/* What is to be set of a VM. */
struct broker_wish {
	const char *vm;
	uint64_t commit_limit; /* 0: as it is */
	const char *tenant;    /* NULL: as it is */
};

/* False where gmemd refuses, with why in ret_why, or isn't there any more, which appeared() will
 * tell the end of, with "". */
bool broker_set(struct broker *broker, const struct broker_wish *wish, char *ret_why, size_t size);
