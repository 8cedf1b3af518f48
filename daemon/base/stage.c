/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stages. See stage.h.
 */
#include "daemon/base/stage.h"

#include <string.h>
#include <time.h>

#ifdef GMEMD_PROBES
#define _SDT_HAS_SEMAPHORES 1
/* Arguments are in registers, where bpftrace, perf and SystemTap can read them. */
#define STAP_SDT_ARG_CONSTRAINT nr
#include <sys/sdt.h>

__attribute__((section(".probes"))) volatile unsigned short gmemd_stage__begin_semaphore;
__attribute__((section(".probes"))) volatile unsigned short gmemd_stage__end_semaphore;

static const char *name_of(const struct method *method)
{
	return method ? method->name : "";
}

static void probe_begin(const struct stages *stages, enum stage stage)
{
	DTRACE_PROBE3(gmemd, stage__begin, stage_names[stage], stages->now.number,
		name_of(stages->now.method));
}

static void probe_end(const struct stages *stages, enum stage stage, int result)
{
	DTRACE_PROBE4(gmemd, stage__end, stage_names[stage], stages->now.number,
		name_of(stages->now.method), result);
}
#else
#define probe_begin(stages, stage)       ((void)(stage))
#define probe_end(stages, stage, result) ((void)(stage), (void)(result))
#endif

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The time since the last call is the innermost stage's; between stages it is nobody's. */
static void charge(struct stages *stages)
{
	uint64_t now = monotonic_ns();

	if (stages->depth > 0 && stages->depth <= STAGES_OPEN_MAX)
		stages->ns[stages->open[stages->depth - 1]] += now - stages->since;
	stages->since = now;
}

void stages_enter(struct stages *stages, enum stage stage)
{
	probe_begin(stages, stage);
	if (stages->measuring == 0)
		return;
	charge(stages);
	if (stages->depth < STAGES_OPEN_MAX)
		stages->open[stages->depth] = stage;
	stages->depth++;
}

void stages_leave(struct stages *stages, enum stage stage, int result)
{
	probe_end(stages, stage, result);
	if (stages->measuring == 0)
		return;
	charge(stages);
	if (stages->depth > 0)
		stages->depth--;
}

const struct stage_sums *stages_settled(struct stages *stages)
{
	const struct method *method = stages->now.method;
	uint64_t *sums = stages->sums.ns[method ? method - methods : METHODS];

	charge(stages);
	for (unsigned stage = 0; stage < STAGES; stage++)
		sums[stage] += stages->ns[stage];
	memset(stages->ns, 0, sizeof stages->ns);
	return &stages->sums;
}

void stages_measure_begin(struct stages *stages)
{
	if (stages->measuring++ > 0)
		return;
	stages->depth = 0;
	memset(stages->ns, 0, sizeof stages->ns);
}

void stages_measure_end(struct stages *stages)
{
	stages->measuring--;
}
