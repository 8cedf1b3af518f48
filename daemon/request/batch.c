/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Batches. See batch.h.
 */
#include "daemon/request/batch.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/container_of.h"
#include "daemon/owner/scheduler.h"
#include "protocol/message.h"

/* Values take many times the memory of their text, so a request is read when it is its turn. */
struct running {
	struct batch batch;
	struct gmemd *gmemd;
	struct caller *caller;
	struct json_object *answers;
	uint64_t number; /* the packet's, as stages have it */
	size_t next, count;
	struct json_part messages[BATCH_REQUESTS_MAX];
	char text[];
};

static void running_free(struct batch *batch)
{
	struct running *running = CONTAINER_OF(batch, struct running, batch);

	json_unref(running->answers);
	free(running);
}

/* NULL where it is no message, with what is wrong in *ret_why. */
static struct json_object *next_message(const struct running *running, const char **ret_why)
{
	const struct json_part *part = &running->messages[running->next];
	struct stages *stages = &running->gmemd->stages;
	struct json_object *message;

	stage_begin(stages, STAGE_PARSE);
	message = json_parse(part->bytes, part->length, ret_why);
	stage_end(stages, STAGE_PARSE, message ? 0 : RPC_PARSE_ERROR);
	return message;
}

static struct json_object *too_long_answer(const struct running *running)
{
	struct rpc_error error = {.code = RPC_OK};
	const char *why;
	struct json_object *message = next_message(running, &why);
	struct json_object *answer;

	serve_too_long_for_batch(&error);
	answer = message_error(json_get(message, "id"), &error);
	rpc_error_clear(&error);
	json_unref(message);
	return answer;
}

/* Answers of methods that change something are always short. */
static void add_answer(struct running *running, struct json_object *take_answer)
{
	size_t length;

	if (take_answer && (!json_print(take_answer, &length) || length > BATCH_ANSWER_BYTES_MAX)) {
		json_unref(take_answer);
		take_answer = too_long_answer(running);
	}
	if (take_answer)
		json_append(running->answers, take_answer);
	running->next++;
}

/* Until its owner's next turn. */
static void pause_batch(struct running *running)
{
	struct caller *caller = running->caller;

	caller->held++;
	caller->paused = &running->batch;
	caller->wait_for_turn(caller);
}

static enum serve_outcome serve_next(struct running *running)
{
	struct request request = {.gmemd = running->gmemd,
		.caller = running->caller,
		.batch = &running->batch,
		.numbered.order = (unsigned)running->next};
	enum serve_outcome outcome = SERVE_ANSWERED;
	struct json_object *message, *answer;
	const char *why;

	if (running->next > 0)
		stages_turn_to(&running->gmemd->stages, running->number, NULL);
	message = next_message(running, &why);
	if (message)
		outcome = serve(message, &request, &answer);
	else
		answer = serve_unreadable(running->caller, why);
	json_unref(message);
	if (outcome == SERVE_ANSWERED)
		add_answer(running, answer);
	return outcome;
}

/* At least one. True where all have been served. */
static bool serve_rest(struct running *running)
{
	do {
		if (serve_next(running) == SERVE_DEFERRED)
			return false;
		if (running->next == running->count)
			return true;
	} while (!scheduler_turn_is_over(running->gmemd->scheduler));
	pause_batch(running);
	return false;
}

static void send_answers(struct running *running)
{
	struct fd_list no_fds = {.count = 0};

	if (json_length(running->answers) > 0)
		running->caller->send(running->caller, running->answers, &no_fds, NULL);
	running_free(&running->batch);
}

/* The answer that was deferred comes in nobody's turn. */
static void go_on(struct batch *batch, struct json_object *take_answer)
{
	struct running *running = CONTAINER_OF(batch, struct running, batch);

	add_answer(running, take_answer);
	if (running->next < running->count)
		pause_batch(running);
	else
		send_answers(running);
}

static void resume_batch(struct batch *batch)
{
	struct running *running = CONTAINER_OF(batch, struct running, batch);
	struct caller *caller = running->caller;

	caller->paused = NULL;
	if (serve_rest(running))
		send_answers(running);
	caller->held--;
	if (caller->held == 0)
		caller->go_on(caller);
}

static struct json_object *no_memory(void)
{
	struct rpc_error error = {.code = RPC_OK};
	struct json_object *answer;

	rpc_error_internal(&error, "no memory");
	answer = message_error(NULL, &error);
	rpc_error_clear(&error);
	return answer;
}

/* With a copy of the messages, which are parts of one text. NULL without memory. */
static struct running *running_new(const struct json_part *messages, size_t count)
{
	const struct json_part *last = &messages[count - 1];
	size_t length = (size_t)(last->bytes + last->length - messages[0].bytes);
	struct running *running = malloc(sizeof *running + length);
	struct json_object *answers = json_new_array();

	if (!running || !answers) {
		free(running);
		json_unref(answers);
		return NULL;
	}
	*running = (struct running){
		.batch = {go_on, resume_batch, running_free}, .answers = answers, .count = count};
	memcpy(running->text, messages[0].bytes, length);
	for (size_t i = 0; i < count; i++)
		running->messages[i] =
			(struct json_part){running->text + (messages[i].bytes - messages[0].bytes),
				messages[i].length};
	return running;
}

struct json_object *batch_serve(
	struct gmemd *gmemd, struct caller *caller, const struct json_part *messages, size_t count)
{
	struct running *running = running_new(messages, count);
	struct json_object *answers = NULL;

	if (!running)
		return no_memory();
	running->gmemd = gmemd;
	running->number = gmemd->stages.now.number;
	running->caller = caller;
	if (!serve_rest(running))
		return NULL;
	if (json_length(running->answers) > 0)
		answers = json_ref(running->answers);
	running_free(&running->batch);
	return answers;
}
