/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-libvirt with 100 domains of libvirt's test driver, in one process: how long it takes to
 * have read all of them, how much processor time one that changes takes, and how much none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/bench/bench.h"
#include "tests/lib/test_domains.h"

#define DOMAINS      100
#define ROUNDS       9
#define CHANGES      50
#define IDLE_SECONDS 20

static virDomainPtr domains[DOMAINS];

static double processor_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static bool has_all(struct test_domains *test, void *context)
{
	const char *at = test_domains_state(test);
	unsigned count = 0;

	(void)context;
	while ((at = strstr(at, "\"uuid\""))) {
		count++;
		at++;
	}
	return count == DOMAINS;
}

static bool has_title(struct test_domains *test, void *context)
{
	return strstr(test_domains_state(test), context) != NULL;
}

/* One that connects, 20 ms of its own pause included. */
static bool measure_reading(struct test_domains *test, double *ret_ms)
{
	double begin;

	test->bridge = bridge_free(test->bridge);
	begin = bench_now();
	if (bridge_new(test->base, &test->plan, &test->bridge) < 0 ||
		!test_domains_wait(test, has_all, NULL))
		return false;
	*ret_ms = (bench_now() - begin) / 1e6;
	return true;
}

static bool measure_change(struct test_domains *test, unsigned number, double *ret_ms)
{
	double begin = processor_ns();
	char title[32];

	snprintf(title, sizeof title, "title %u.", number);
	if (virDomainSetMetadata(domains[number], VIR_DOMAIN_METADATA_TITLE, title, NULL, NULL,
		    VIR_DOMAIN_AFFECT_CURRENT) < 0 ||
		!test_domains_wait(test, has_title, title))
		return false;
	*ret_ms = (processor_ns() - begin) / 1e6;
	return true;
}

static void stop(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(context);
}

/* Percent of a core. */
static double measure_idle(struct test_domains *test)
{
	const struct timeval later = {.tv_sec = IDLE_SECONDS};
	struct event *end = event_new(test->base, -1, 0, stop, test->base);
	double begin = processor_ns();

	event_add(end, &later);
	event_base_dispatch(test->base);
	event_free(end);
	return (processor_ns() - begin) / (IDLE_SECONDS * 1e9) * 100;
}

static bool measure(struct test_domains *test)
{
	double reading[ROUNDS], changes[CHANGES];
	char name[32];

	for (unsigned i = 0; i < DOMAINS; i++) {
		snprintf(name, sizeof name, "domain-%u", i);
		domains[i] = test_domains_define(test, name, i);
		if (!domains[i] || virDomainCreate(domains[i]) < 0)
			return false;
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (!measure_reading(test, &reading[i]))
			return false;
	}
	for (unsigned i = 0; i < CHANGES; i++) {
		if (!measure_change(test, i, &changes[i]))
			return false;
	}
	printf("%d domains are read, from the connection on: %.1f ms in the median of %d\n",
		DOMAINS, bench_median(reading, ROUNDS), ROUNDS);
	printf("a domain that changes: %.2f ms of processor time in the median of %d\n",
		bench_median(changes, CHANGES), CHANGES);
	printf("with nothing to do: %.4f %% of a core over %d s\n", measure_idle(test),
		IDLE_SECONDS);
	return true;
}

int main(void)
{
	struct test_domains test;
	bool measured;

	if (!test_domains_begin(&test))
		return EXIT_FAILURE;
	measured = measure(&test);
	for (unsigned i = 0; i < DOMAINS && domains[i]; i++)
		virDomainFree(domains[i]);
	test_domains_end(&test);
	return measured ? EXIT_SUCCESS : EXIT_FAILURE;
}
