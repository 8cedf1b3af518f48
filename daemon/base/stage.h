/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stages: what gmemd does for a request, from its packet to its answer, so that it can be seen
 * where the time goes.
 *
 *  | receive | the packet is read from its socket                                              |
 *  | parse   | it is made a value, or found plain, and its members are read                    |
 *  | check   | before the handler: reports are settled, parameters decoded, the keeper's room  |
 *  | act     | the handler, with what it notes in ledgers                                      |
 *  | record  | the answer is owed, and what was noted is committed, in the ledgers             |
 *  | keep    | something is sent to gmemd-keeper, or its answers are read                      |
 *  | answer  | the answer's message is made, printed and sent, and is owed no more             |
 *
 * Stages nest, keep within act say: an inner stage's time is not the outer's. Each is of the
 * request that is served then. One that waits, for the keeper, for a file, for pages, is in no
 * stage meanwhile, and comes to the same ones again when it goes on.
 *
 * At each stage's beginning and end there is a probe for bpftrace, perf and SystemTap (build option
 * probes): stage__begin(stage, request, method) and stage__end(stage, request, method, result) of
 * provider gmemd. stage and method are strings, method is "" where it is not known yet; request
 * counts packets, from 1 on, since gmemd was started, and 0 is none; result is 0, the code of a
 * JSON-RPC error or a negative errno, or, from 1 on, that the answer comes later.
 *
 * Who measures the stages is daemon/report/profile.h. While nobody does, and nobody listens at the
 * probes, a stage's beginning is a look at two words, and a branch.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/methods.h"

/* As stage_names has them. */
enum stage {
	STAGE_RECEIVE,
	STAGE_PARSE,
	STAGE_CHECK,
	STAGE_ACT,
	STAGE_RECORD,
	STAGE_KEEP,
	STAGE_ANSWER,
	STAGES
};

/* So deep do they nest: what ends a request of another within its own act, which waited. */
#define STAGES_OPEN_MAX 16

/* Whose stages they are. */
struct stage_request {
	uint64_t number;             /* 0: nobody's */
	const struct method *method; /* NULL: it is not known, or there is none */
};

struct stage_sums {
	uint64_t ns[METHODS + 1][STAGES]; /* the last: without a method */
	uint64_t requests[METHODS + 1];
};

struct stages {
	unsigned measuring; /* for so many; 0: the rest is of no interest, but for the next two */
	uint64_t packets;
	struct stage_request now;
	uint64_t since; /* CLOCK_MONOTONIC, nanoseconds: what the innermost is not charged yet */
	unsigned depth;
	enum stage open[STAGES_OPEN_MAX];
	uint64_t ns[STAGES]; /* of now, whose method may be found later */
	struct stage_sums sums;
};

/* Each has its end. Stages that have begun before are not measured. */
void stages_measure_begin(struct stages *stages);
void stages_measure_end(struct stages *stages);
/* By now, of what has begun too. */
const struct stage_sums *stages_settled(struct stages *stages);

#ifdef GMEMD_PROBES
/* How many listen at each: they write that there. */
extern volatile unsigned short gmemd_stage__begin_semaphore, gmemd_stage__end_semaphore;
#else
enum { gmemd_stage__begin_semaphore, gmemd_stage__end_semaphore = 0 };
#endif

/* Of stage_begin() and stage_end(). */
void stages_enter(struct stages *stages, enum stage stage);
void stages_leave(struct stages *stages, enum stage stage, int result);

static inline void stage_begin(struct stages *stages, enum stage stage)
{
	if (__builtin_expect(stages->measuring | gmemd_stage__begin_semaphore, 0))
		stages_enter(stages, stage);
}

static inline void stage_end(struct stages *stages, enum stage stage, int result)
{
	if (__builtin_expect(stages->measuring | gmemd_stage__end_semaphore, 0))
		stages_leave(stages, stage, result);
}

/* Whose the stages are from now on; returns whose they were. */
static inline struct stage_request stages_turn_to(
	struct stages *stages, uint64_t number, const struct method *method)
{
	struct stage_request before = stages->now;

	if (__builtin_expect(stages->measuring, 0))
		stages_settled(stages);
	stages->now = (struct stage_request){number, method};
	return before;
}

static inline void stages_turn_back(struct stages *stages, struct stage_request before)
{
	stages_turn_to(stages, before.number, before.method);
}
