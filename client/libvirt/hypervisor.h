/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection to libvirt: read-only, kept alive, made again with pauses where it ends, and told
 * by it which domains have changed.
 */
#pragma once

#include <event2/event.h>
#include <libvirt/libvirt.h>

struct hypervisor;

/* What is called with context. All may call libvirt, but none may free the hypervisor. */
struct hypervisor_handlers {
	void (*connected)(void *context); /* whatever was known of domains may have changed */
	void (*lost)(void *context);
	/* domain stays libvirt's, and may be gone. */
	void (*changed)(void *context, virDomainPtr domain);
	void *context;
};

/* event_loop_use() has been called with base. It connects in the loop's first turn. uri and
 * handlers must live as long. -ENOMEM. */
int hypervisor_new(struct event_base *base, const char *uri,
	const struct hypervisor_handlers *handlers, struct hypervisor **ret);
/* Takes NULL, returns NULL. */
struct hypervisor *hypervisor_free(struct hypervisor *hypervisor);

/* NULL where there is none. */
virConnectPtr hypervisor_connection(const struct hypervisor *hypervisor);
/* Why this thread's last call of libvirt's failed, in one sentence. */
const char *hypervisor_error(void);
