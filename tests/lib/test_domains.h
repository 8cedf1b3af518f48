/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains of libvirt's test driver, in this process, and a bridge beside them without a gmemd.
 */
#pragma once

#include <event2/event.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "client/libvirt/bridge.h"

#define TEST_DOMAINS_URI "test:///default"

struct test_domains {
	char directory[64];
	char state[96], socket[96];
	struct event_base *base;
	struct bridge_plan plan;
	struct bridge *bridge;
	virConnectPtr connection; /* whose domains the bridge sees as well */
};

/* False where anything failed, which it has printed. Once in a process. */
bool test_domains_begin(struct test_domains *test);
void test_domains_end(struct test_domains *test);

/* Defines one of 64 MiB, called so. Its number is the end of its UUID. NULL where that failed. */
virDomainPtr test_domains_define(struct test_domains *test, const char *name, unsigned number);

/* Runs the loop until holds, for a minute at most: whether it does. */
bool test_domains_wait(struct test_domains *test,
	bool (*holds)(struct test_domains *test, void *context), void *context);
/* The state file's text, in a buffer that the next call uses again; "" where there is none. */
const char *test_domains_state(struct test_domains *test);
