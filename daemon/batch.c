/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Batches. See batch.h.
 */
#include "daemon/batch.h"

#include <stdlib.h>

#include "daemon/scheduler.h"
#include "protocol/json.h"
#include "protocol/message.h"

struct running {
	struct batch batch;
	struct gmemd *gmemd;
	struct caller *caller;
	struct json_object *messages, *answers;
	size_t next;
	struct owner *charged; /* since it has waited, or may have to; NULL: nobody yet */
};

static void running_free(struct batch *batch)
{
	struct running *running = (struct running *)batch;

	json_unref(running->messages);
	json_unref(running->answers);
	owner_give_back(running->charged, OWNER_BATCHES);
	free(running);
}

static struct json_object *too_long_answer(struct json_object *message)
{
	struct rpc_error error = {.code = RPC_OK};
	struct json_object *answer;

	serve_too_long_for_batch(&error);
	answer = message_error(json_get(message, "id"), &error);
	rpc_error_clear(&error);
	return answer;
}

/* Answers of methods that change something are always short. */
static void add_answer(struct running *running, struct json_object *take_answer)
{
	size_t length;

	if (take_answer && (!json_print(take_answer, &length) || length > BATCH_ANSWER_BYTES_MAX)) {
		json_unref(take_answer);
		take_answer = too_long_answer(json_at(running->messages, running->next));
	}
	if (take_answer)
		json_append(running->answers, take_answer);
	running->next++;
}

/* What it takes while it waits are its messages, as they were parsed. */
static bool may_wait(struct batch *batch)
{
	struct running *running = (struct running *)batch;
	struct owner *owner = running->caller->owner;

	if (!running->charged && owner_charge(owner, OWNER_BATCHES) == 0)
		running->charged = owner;
	return running->charged;
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
	struct json_object *message = json_at(running->messages, running->next);
	struct request request = {.gmemd = running->gmemd,
		.caller = running->caller,
		.batch = &running->batch,
		.order = (unsigned)running->next};
	struct json_object *answer;
	enum serve_outcome outcome = serve(message, &request, &answer);

	if (outcome == SERVE_ANSWERED)
		add_answer(running, answer);
	return outcome;
}

/* At least one; and all, where it may not wait. True where they have been served. */
static bool serve_rest(struct running *running)
{
	do {
		if (serve_next(running) == SERVE_DEFERRED)
			return false;
		if (running->next == json_length(running->messages))
			return true;
	} while (!scheduler_turn_is_over(running->gmemd->scheduler) || !may_wait(&running->batch));
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
	struct running *running = (struct running *)batch;

	add_answer(running, take_answer);
	if (running->next < json_length(running->messages))
		pause_batch(running);
	else
		send_answers(running);
}

static void resume(struct batch *batch)
{
	struct running *running = (struct running *)batch;
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

struct json_object *batch_serve(
	struct gmemd *gmemd, struct caller *caller, struct json_object *messages)
{
	struct running *running = malloc(sizeof *running);
	struct json_object *answers = NULL;

	if (!running)
		return no_memory();
	*running = (struct running){
		.batch = {go_on, resume, may_wait, running_free},
		.gmemd = gmemd,
		.caller = caller,
		.messages = json_ref(messages),
		.answers = json_new_array(),
	};
	if (!serve_rest(running))
		return NULL;
	if (json_length(running->answers) > 0)
		answers = json_ref(running->answers);
	running_free(&running->batch);
	return answers;
}
