/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_convert: what memory.convert costs the daemon, from the packet to the printed answer.
 *
 * Without sockets: packets go to dispatch_packet() in this process, on one core. With the model a
 * conversion is one packet; with KVM it is the request up to what the VMM triggers, and the report
 * of that. All VMs have both halves. In each round each case is measured in turn; a figure is the
 * median of its rounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/vm/call.h"
#include "protocol/json.h"
#include "tests/bench/bench.h"
#include "tests/lib/private_vm.h"

#define PAGE        4096ull
#define GUEST_PAGES 4000000ull
#define ROUNDS      20
#define RANGES      20000 /* of a case, in a round */
#define SPOTS       32    /* of the guest's memory, in turn */
#define SHOWN       3

static const unsigned batches[SHOWN] = {1, 64, 256};
static const unsigned pieces[SHOWN] = {1000, 100000, 1000000};

/* There and back again. */
struct bench_case {
	struct private_vm vm;
	unsigned batch;
	struct packet convert[SPOTS][2]; /* by enum convert_to */
	double rounds[ROUNDS];           /* nanoseconds of a request */
};

/* As a peer's connection does it. */
static struct json_object *dispatch(struct private_vm *vm, struct packet *packet)
{
	const struct packet_bytes bytes = {packet->bytes, packet->length, /* too_long= */ false};
	struct fd_list fds;
	struct json_object *answer = dispatch_packet(&vm->gmemd, &vm->caller, &bytes, &fds);
	size_t length;

	json_print(answer, &length);
	return answer;
}

static void report(struct private_vm *vm, const struct call *call)
{
	json_unref(private_vm_ask(vm,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call.done\",\"params\":{\"vm\":\"%s\","
		"\"call\":%" PRIu64 ",\"done\":%u}}",
		vm->vm->id, call->id, call->count));
}

static void convert(struct bench_case *one, struct packet *packet)
{
	struct vm *vm = one->vm.vm;

	json_unref(dispatch(&one->vm, packet));
	while (!TAILQ_EMPTY(&vm->calls))
		report(&one->vm, TAILQ_FIRST(&vm->calls));
}

static void play(struct bench_case *one, unsigned round)
{
	unsigned pairs = RANGES / one->batch / 2;
	double start = bench_now();

	for (unsigned i = 0; i < pairs; i++) {
		convert(one, &one->convert[i % SPOTS][CONVERT_TO_PRIVATE]);
		convert(one, &one->convert[i % SPOTS][CONVERT_TO_SHARED]);
	}
	one->rounds[round] = (bench_now() - start) / (2 * pairs);
}

/* Every second page from the first on, so that none touches another. */
static void write_packets(struct bench_case *one, uint64_t first, struct packet ret[static 2])
{
	struct guest_range ranges[256];

	for (unsigned i = 0; i < one->batch; i++)
		ranges[i] = (struct guest_range){(first + 2 * i) * PAGE, PAGE};
	for (unsigned to = 0; to < 2; to++)
		private_vm_write_convert(
			&one->vm, to, /* discard= */ true, ranges, one->batch, &ret[to]);
}

/* n_pieces: private ranges that the VM has already, every fourth page. */
static void set_up(
	struct bench_case *one, const struct backend *backend, unsigned batch, unsigned n_pieces)
{
	struct slot_request slot = {.memory_size = GUEST_PAGES * PAGE};

	one->batch = batch;
	private_vm_init(&one->vm, backend);
	slot.memory = private_vm_memory(&one->vm, BACKING_GUEST_MEMFD, GUEST_PAGES * PAGE);
	slot.shared_memory = private_vm_memory(&one->vm, BACKING_MEMFD, GUEST_PAGES * PAGE);
	private_vm_slot(&one->vm, &slot);
	for (uint64_t i = 0; i < n_pieces; i++) {
		if (ranges_add(&one->vm.vm->private_ranges, i * (GUEST_PAGES / n_pieces) * PAGE,
			    PAGE) < 0)
			abort();
	}
	/* Among them, where there is room for one more. */
	for (uint64_t spot = 0; spot < SPOTS; spot++)
		write_packets(one, GUEST_PAGES / SPOTS / 4 * spot * 4 + 2, one->convert[spot]);
}

static double median(struct bench_case *one)
{
	return bench_median(one->rounds, bench_rounds(ROUNDS));
}

static void measure(struct bench_case *cases, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		play(&cases[i], 0);
	for (unsigned round = 0; round < bench_rounds(ROUNDS); round++) {
		for (unsigned i = 0; i < count; i++)
			play(&cases[i], round);
	}
}

static void end(struct bench_case *cases, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		private_vm_end(&cases[i].vm);
	free(cases);
}

static struct bench_case *new_cases(unsigned count)
{
	struct bench_case *cases = calloc(count, sizeof *cases);

	if (!cases)
		abort();
	return cases;
}

/* Before the rounds are sorted. */
static void tell(const struct bench_case *one, const char *backend, unsigned batch)
{
	char work[64], subject[64];
	const struct bench_figure figure = {work, subject, "time a range", "us"};
	double values[ROUNDS];

	snprintf(work, sizeof work, "memory.convert of %u range%s", batch, batch == 1 ? "" : "s");
	snprintf(subject, sizeof subject, "gmemd alone, back end %s", backend);
	for (unsigned i = 0; i < bench_rounds(ROUNDS); i++)
		values[i] = one->rounds[i] / batch / 1e3;
	bench_tell(&figure, values, bench_rounds(ROUNDS));
}

static void compare_batches(void)
{
	static const struct backend *const backends[] = {&backend_model, &backend_kvm};
	struct bench_case *cases = new_cases(2 * SHOWN);

	for (unsigned i = 0; i < 2 * SHOWN; i++)
		set_up(&cases[i], backends[i / SHOWN], batches[i % SHOWN], 0);
	measure(cases, 2 * SHOWN);
	printf("%-8s %8s %14s %14s %14s\n", "backend", "ranges", "us a request", "us a range",
		"ranges/s");
	for (unsigned i = 0; i < 2 * SHOWN; i++)
		tell(&cases[i], backends[i / SHOWN]->name, cases[i].batch);
	for (unsigned i = 0; i < 2 * SHOWN; i++) {
		double request = median(&cases[i]), range = request / cases[i].batch;

		printf("%-8s %8u %14.2f %14.3f %14.0f\n", backends[i / SHOWN]->name, cases[i].batch,
			request / 1e3, range / 1e3, 1e9 / range);
	}
	end(cases, 2 * SHOWN);
}

static void compare_pieces(void)
{
	struct bench_case *cases = new_cases(SHOWN);

	for (unsigned i = 0; i < SHOWN; i++)
		set_up(&cases[i], &backend_kvm, 1, pieces[i]);
	measure(cases, SHOWN);
	printf("%-8s %14s %14s\n", "backend", "private ranges", "us a request");
	for (unsigned i = 0; i < SHOWN; i++)
		printf("%-8s %14u %14.2f\n", "kvm", pieces[i], median(&cases[i]) / 1e3);
	end(cases, SHOWN);
}

int main(void)
{
	if (bench_pin() < 0)
		return EXIT_FAILURE;
	printf("convert: medians of %u rounds, in turn, on one core\n", bench_rounds(ROUNDS));
	compare_batches();
	compare_pieces();
	printf("target: at most 2 us a range of 256, and logarithmic growth with private ranges\n");
	return EXIT_SUCCESS;
}
