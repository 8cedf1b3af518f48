/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's event loop, as libevent runs it (virEventRegisterImpl).
 */
#pragma once

#include <event2/event.h>

/*
 * Has libvirt watch its files and time in base from now on. A process can do so once, before it
 * calls anything else of libvirt's, and base must live as long as a connection.
 */
void event_loop_use(struct event_base *base);
