/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains of libvirt's test driver. See test_domains.h.
 */
#include "tests/lib/test_domains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/virterror.h>

#include "client/libvirt/event_loop.h"

#define WAIT_SECONDS 60

static void tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
}

/* The driver comes with a domain of its own. */
static void undefine_all(virConnectPtr connection)
{
	virDomainPtr *domains = NULL;
	int count = virConnectListAllDomains(connection, &domains, 0);

	for (int i = 0; i < count; i++) {
		virDomainDestroy(domains[i]);
		virDomainUndefine(domains[i]);
		virDomainFree(domains[i]);
	}
	free(domains);
}

bool test_domains_begin(struct test_domains *test)
{
	*test = (struct test_domains){.directory = "/tmp/gmemd-test-XXXXXX"};
	test->base = event_base_new();
	if (!test->base || !mkdtemp(test->directory))
		return false;
	snprintf(test->state, sizeof test->state, "%s/domains", test->directory);
	snprintf(test->socket, sizeof test->socket, "%s/admin.sock", test->directory);
	test->plan = (struct bridge_plan){
		.uri = TEST_DOMAINS_URI, .socket = test->socket, .state = test->state};
	event_loop_use(test->base);
	test->connection = virConnectOpen(TEST_DOMAINS_URI);
	if (!test->connection) {
		printf("# %s: %s\n", TEST_DOMAINS_URI, virGetLastErrorMessage());
		return false;
	}
	undefine_all(test->connection);
	return bridge_new(test->base, &test->plan, &test->bridge) == 0;
}

void test_domains_end(struct test_domains *test)
{
	test->bridge = bridge_free(test->bridge);
	if (test->connection)
		virConnectClose(test->connection);
	while (event_base_loop(test->base, EVLOOP_NONBLOCK) == 0) {
		if (event_base_get_num_events(test->base, EVENT_BASE_COUNT_ADDED) == 0)
			break;
	}
	event_base_free(test->base);
	rmdir(test->directory);
}

virDomainPtr test_domains_define(struct test_domains *test, const char *name, unsigned number)
{
	char xml[1024];

	snprintf(xml, sizeof xml,
		"<domain type='test'><name>%s</name>"
		"<uuid>123e4567-e89b-12d3-a456-4266%08x</uuid>"
		"<memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>",
		name, number);
	return virDomainDefineXML(test->connection, xml);
}

bool test_domains_wait(struct test_domains *test,
	bool (*holds)(struct test_domains *test, void *context), void *context)
{
	const struct timeval often = {.tv_usec = 10000};
	struct event *ticker = event_new(test->base, -1, EV_PERSIST, tick, NULL);
	time_t until = time(NULL) + WAIT_SECONDS;
	bool held;

	event_add(ticker, &often);
	while (!(held = holds(test, context)) && time(NULL) < until)
		event_base_loop(test->base, EVLOOP_ONCE);
	event_free(ticker);
	return held;
}

const char *test_domains_state(struct test_domains *test)
{
	static char text[1 << 20];
	FILE *file = fopen(test->state, "re");
	size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;

	if (file)
		fclose(file);
	text[length] = '\0';
	return text;
}
