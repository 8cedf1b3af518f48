/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clients: some clients of one kind, each a thread that asks again as soon as it was answered;
 * prints p50 and p99 of all round trips, in microseconds, and how many there were a second, as
 * JSON.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/bench/report/client.h"

static const struct client_kind *const kinds[] = {
	&client_packet,
	&client_vm,
	&client_bare,
	&client_bare_file,
	&client_dbus,
	&client_qmp,
#ifdef WITH_LIBVIRT
	&client_libvirt,
#endif
};

struct load {
	const struct client_kind *kind;
	unsigned clients, requests; /* requests of each client */
	double *samples;            /* nanoseconds, the clients' one after the other */
	pthread_barrier_t begin;
};

struct runner {
	struct load *load;
	void *client;
	double *samples, began, ended;
	int r;
	pthread_t thread;
};

static void *run(void *context)
{
	struct runner *runner = context;
	struct load *load = runner->load;

	for (unsigned i = 0; runner->r == 0 && i < load->requests / 10 + 1; i++)
		runner->r = load->kind->exchange(runner->client);
	pthread_barrier_wait(&load->begin);
	runner->began = bench_now();
	for (unsigned i = 0; runner->r == 0 && i < load->requests; i++) {
		double start = bench_now();

		runner->r = load->kind->exchange(runner->client);
		runner->samples[i] = bench_now() - start;
	}
	runner->ended = bench_now();
	return NULL;
}

/* All connect before any thread is there: a kind may fork. */
static int connect_all(
	struct load *load, const char *address, const char *request, struct runner *runners)
{
	int r = load->kind->prepare ? load->kind->prepare(address, request) : 0;

	for (unsigned i = 0; r == 0 && i < load->clients; i++) {
		runners[i].load = load;
		runners[i].samples = load->samples + (size_t)i * load->requests;
		r = load->kind->connect(address, request, i, &runners[i].client);
	}
	return r < 0 ? bench_failed("connecting", r) : 0;
}

static int run_all(struct load *load, struct runner *runners, double *ret_seconds)
{
	double began = 0, ended = 0;

	pthread_barrier_init(&load->begin, NULL, load->clients);
	for (unsigned i = 0; i < load->clients; i++) {
		if (pthread_create(&runners[i].thread, NULL, run, &runners[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < load->clients; i++) {
		pthread_join(runners[i].thread, NULL);
		if (runners[i].r < 0)
			return bench_failed(load->kind->name, runners[i].r);
		if (i == 0 || runners[i].began < began)
			began = runners[i].began;
		if (runners[i].ended > ended)
			ended = runners[i].ended;
	}
	*ret_seconds = (ended - began) / 1e9;
	return 0;
}

static void tell(const struct load *load, double seconds)
{
	unsigned count = load->clients * load->requests;
	double p50 = bench_median(load->samples, count);

	printf("{\"p50\": %.3f, \"p99\": %.3f, \"requests\": %.1f}\n", p50 / 1e3,
		load->samples[(size_t)count * 99 / 100] / 1e3, count / seconds);
}

static void disconnect_all(const struct load *load, struct runner *runners)
{
	for (unsigned i = 0; i < load->clients; i++) {
		if (runners[i].client)
			load->kind->disconnect(runners[i].client);
	}
}

static const struct client_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct load load = {.kind = argc == 6 ? find_kind(argv[1]) : NULL};
	struct runner *runners;
	double seconds = 0;
	int r;

	if (!load.kind || atoi(argv[4]) < 1 || atoi(argv[5]) < atoi(argv[4])) {
		fprintf(stderr, "Usage: %s KIND ADDRESS REQUEST CLIENTS REQUESTS\n", argv[0]);
		return 2;
	}
	load.clients = (unsigned)atoi(argv[4]);
	load.requests = (unsigned)atoi(argv[5]) / load.clients;
	runners = calloc(load.clients, sizeof *runners);
	load.samples = calloc((size_t)load.clients * load.requests, sizeof *load.samples);
	if (!runners || !load.samples)
		return EXIT_FAILURE;
	r = connect_all(&load, argv[2], argv[3], runners);
	if (r == 0)
		r = run_all(&load, runners, &seconds);
	if (r == 0)
		tell(&load, seconds);
	disconnect_all(&load, runners);
	free(runners);
	free(load.samples);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
