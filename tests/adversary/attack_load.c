/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Not attacks but bad days: a storm of signals, many threads at once. All has to work.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

#define MEMORIES 200
#define THREADS  8

static atomic_uint signals_seen;

static void count_signal(int number)
{
	(void)number;
	signals_seen++;
}

/* Without SA_RESTART. */
static void start_storm(void)
{
	const struct sigaction action = {.sa_handler = count_signal};
	const struct itimerval interval = {{0, 1000}, {0, 1000}};

	require(sigaction(SIGALRM, &action, NULL) == 0 &&
			setitimer(ITIMER_REAL, &interval, NULL) == 0,
		"a storm of signals");
}

static void stop_storm(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}

static int create_and_close(struct gmem_vm *vm)
{
	struct gmem_memory *memory;
	int r;

	r = gmem_memory_create(vm, PAGE, NULL, &memory);
	if (r < 0)
		return r;
	r = gmem_memory_close(memory);
	gmem_memory_free(memory);
	return r;
}

void attack_signals(struct world *world)
{
	struct gmem_vm *vm;
	unsigned made = 0;
	int r = 0;

	pass_on_opening(world);
	start_storm();
	require(gmem_vm_open(world->gmem, NULL, &vm) == 0, "the VM is made in it");
	for (; made < MEMORIES; made++) {
		r = create_and_close(vm);
		if (r < 0)
			break;
	}
	while (signals_seen < 20)
		usleep(1000);
	stop_storm();
	world->vm.fd = vm->fd;
	verdict(made == MEMORIES,
		"%u of %u memories are made and closed, in spite of %u signals "
		"(%s)",
		made, MEMORIES, (unsigned)signals_seen, r < 0 ? strerrorname_np(-r) : "");
	control(world);
}

struct crew {
	struct world *world;
	pthread_barrier_t start;
	struct order orders[THREADS];
	int outcomes[THREADS];
	atomic_uint next;
};

static void *make_many(void *context)
{
	struct crew *crew = context;
	unsigned number = crew->next++;

	pthread_barrier_wait(&crew->start);
	for (int i = 0; i < 25 && crew->outcomes[number] == 0; i++)
		crew->outcomes[number] = create_and_close(&crew->world->vm);
	return NULL;
}

static void *trigger_one(void *context)
{
	struct crew *crew = context;
	unsigned number = crew->next++;
	int fd;

	pthread_barrier_wait(&crew->start);
	fd = trigger(crew->world, &crew->orders[number]);
	crew->outcomes[number] = fd < 0 ? -errno : fd;
	return NULL;
}

static void send_crew(struct crew *crew, void *(*work)(void *))
{
	pthread_t threads[THREADS];

	crew->next = 0;
	pthread_barrier_init(&crew->start, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		require(pthread_create(&threads[i], NULL, work, crew) == 0, "a thread");
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crew->start);
}

static void order_for_all(struct crew *crew)
{
	for (unsigned i = 0; i < THREADS; i++)
		require(order_memory(crew->world, PAGE, &crew->orders[i]) == 0,
			"gmemd writes a creation");
}

static void report_all(struct crew *crew)
{
	for (unsigned i = 0; i < THREADS; i++) {
		require(crew->outcomes[i] >= 0, "it created");
		require(report(crew->world, &crew->orders[i], crew->outcomes[i]) == 0,
			"gmemd takes the new memory");
		close(crew->outcomes[i]);
		require(close_memory(crew->world, crew->orders[i].memory) == 0, "it is given back");
	}
}

static void try_to_make_vms(struct world *world);

void attack_threads(struct world *world)
{
	struct crew crew = {.world = world};
	bool good = true;

	try_to_make_vms(world);
	for (int round = 0; round < 20; round++) {
		order_for_all(&crew);
		send_crew(&crew, trigger_one);
		report_all(&crew);
	}
	verdict(true, "%u threads trap at once, 20 times: all create", THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		crew.outcomes[i] = 0;
	send_crew(&crew, make_many);
	for (unsigned i = 0; i < THREADS; i++)
		good = good && crew.outcomes[i] == 0;
	verdict(good, "%u threads share the library's connection: all work", THREADS);
	control(world);
}

static void *make_vm(void *context)
{
	struct crew *crew = context;
	unsigned number = crew->next++;
	struct world copy = *crew->world;

	pthread_barrier_wait(&crew->start);
	crew->outcomes[number] = create_vm(&copy) < 0 ? -errno : copy.vm.fd;
	return NULL;
}

static void try_to_make_vms(struct world *world)
{
	struct crew crew = {.world = world};
	unsigned made = 0, refusals = 0;

	world_map(world);
	send_crew(&crew, make_vm);
	for (unsigned i = 0; i < THREADS; i++) {
		if (crew.outcomes[i] >= 0) {
			world->vm.fd = crew.outcomes[i];
			made++;
		}
		refusals += crew.outcomes[i] == -EPERM;
	}
	verdict(made == 1 && refusals == THREADS - 1,
		"%u threads make the VM at once: %u does, %u are refused", THREADS, made, refusals);
}

void attack_one_entry(struct world *world)
{
	struct crew crew = {.world = world};
	struct order order;

	for (int round = 0; round < 10; round++) {
		unsigned made = 0, refusals = 0;

		require(order_memory(world, PAGE, &order) == 0, "gmemd writes a creation");
		for (unsigned i = 0; i < THREADS; i++)
			crew.orders[i] = order;
		send_crew(&crew, trigger_one);
		for (unsigned i = 0; i < THREADS; i++) {
			if (crew.outcomes[i] >= 0) {
				made++;
				require(report(world, &order, crew.outcomes[i]) == 0,
					"gmemd takes the new memory");
				close(crew.outcomes[i]);
			}
			refusals += crew.outcomes[i] == -EPERM;
		}
		verdict(made == 1 && refusals == THREADS - 1,
			"%u threads trigger one entry: %u creates, %u are refused", THREADS, made,
			refusals);
	}
	control(world);
}
