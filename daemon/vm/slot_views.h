/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views: whether slots through a mapping show the memories that they name.
 *
 * What a VMM has mapped at an address it can map anew at any time, so that a look says how it was
 * then. There is one before such a slot is bound, and another of all that a VM has whenever its
 * pages are counted: a slot that shows something else by then goes astray (slot.h). A taker looks
 * (daemon/peerfd/taker_client.h), for that may take as long as the VMM likes; where it can't look
 * in time, what was known stays known.
 */
#pragma once

#include "daemon/vm/slot.h"
#include "kernel/host/file_view.h"

/* What a slot through a mapping is to show, as it is asked for. */
struct file_view slot_request_view(const struct slot_request *request);

/* One who waits for a look. */
struct views_waiter {
	LIST_ENTRY(views_waiter) link;
	void (*done)(struct views_waiter *waiter); /* from the loop, or by views_stop() */
};

/* Begins a look at the VM's slots; where one is under way already, another follows it. False where
 * there is nothing to look at, or no look can begin. */
bool views_look(struct vm *vm);
/* The same. The waiter is called once, when it is over, unless this returns false. */
bool views_await(struct vm *vm, struct views_waiter *waiter);
/* It waits no more. */
void views_await_no_more(struct views_waiter *waiter);

/* The VM goes: nothing more is noted of it. Who waits is called once the taker has answered. */
void views_forget(struct vm *vm);
/* No look goes on. Who waits is called. */
void views_stop(struct registry *registry);
