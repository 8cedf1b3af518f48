/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serving. See serve.h.
 */
#include "daemon/request/serve.h"

#include <string.h>

#include "daemon/base/kill_step.h"
#include "daemon/config/config_fault.h"
#include "daemon/request/deferred_answer.h"
#include "daemon/request/outliving.h"
#include "daemon/request/postponement.h"
#include "daemon/request/refusal.h"
#include "daemon/request/replay.h"
#include "daemon/request/resumption.h"
#include "daemon/reservation/reservation_ledger.h"
#include "daemon/vm/vm_ledger.h"
#include "protocol/json.h"
#include "protocol/message.h"

static int find_method(const char *name, struct request *request, const struct method **ret)
{
	const struct method *method = method_by_name(name);
	bool in_batch = request->batch != NULL;

	if (!method)
		return rpc_error_method_not_found(&request->error, name);
	if (!(method->access & request->caller->access))
		return rpc_error_not_permitted(&request->error,
			method->access & ACCESS_OPERATOR
				? "the operators' socket, admin.sock, for this method"
				: "the VMMs' socket, gmemd.sock, for this method");
	if (in_batch && fields_have(method->result, FIELD_FD))
		return rpc_error_invalid_request(&request->error,
			"a batch's answer carries no file descriptors, and this method's may");
	/* Known without making it 64 times over, which would keep others waiting. */
	if (in_batch && (method == &methods[METHOD_RPC_DISCOVER] ||
				method == &methods[METHOD_HOST_PROFILE]))
		return serve_too_long_for_batch(&request->error);
	*ret = method;
	return 0;
}

/* Nothing is carried out by limits that nobody has set. */
static int refuse_for_configuration(struct request *request)
{
	const struct config_faults *faults = request->gmemd->faults;
	const struct config_fault *first = &faults->all[0];
	char told[CONFIG_FAULT_TEXT_MAX];

	config_faults_print(faults, 0, told, sizeof told);
	return rpc_error_configuration(
		&request->error, first->file, first->line, first->setting, told);
}

/* But for what puts an end to that. */
static bool needs_configuration(const struct request_message *message)
{
	return method_by_name(message->method) != &methods[METHOD_CONFIG_RELOAD];
}

static int make_result(struct request *request, const struct method *method)
{
	request->result = method->result->name ? json_new_object() : NULL;
	return !method->result->name || request->result
		       ? 0
		       : rpc_error_internal(&request->error, "no memory");
}

static int decode(
	const struct request_message *message, struct request *request, const struct method *method)
{
	int r = request->decoded ? 0
				 : fields_decode(method->parameters, message->params,
					   &request->parameters, &request->error);

	if (r < 0)
		return r;
	request->decoded = NULL; /* from here on it is released with the rest */
	r = make_result(request, method);
	if (r == 0)
		r = outliving_check(request, (enum method_number)(method - methods));
	if (r != 0)
		fields_release(method->parameters, &request->parameters);
	return r;
}

/* The method whose handler can be called, with its parameters decoded. */
static int check(
	const struct request_message *message, struct request *request, const struct method **ret)
{
	int r;

	if (request->gmemd->faults && needs_configuration(message))
		return refuse_for_configuration(request);
	if (request->gmemd->lack[0] && needs_configuration(message))
		return rpc_error_unsupported(
			&request->error, request->gmemd->lack, request->gmemd->host.kernel_release);
	r = find_method(message->method, request, ret);
	if (r < 0)
		return r;
	if (resumption_left_behind(request))
		return rpc_error_conflict(&request->error, "vm",
			"Its process has closed this connection, and goes on with it on another");
	request->method = (*ret)->name;
	request->timer.method = *ret;
	request->gmemd->stages.now.method = *ret;
	return decode(message, request, *ret);
}

static int act(struct request *request, const struct method *method)
{
	struct stages *stages = &request->gmemd->stages;
	int r;

	stage_begin(stages, STAGE_ACT);
	r = request->gmemd->handlers[method - methods](request);
	stage_end(stages, STAGE_ACT, r);
	fields_release(method->parameters, &request->parameters);
	return r;
}

static int carry_out(const struct request_message *message, struct request *request)
{
	struct stages *stages = &request->gmemd->stages;
	const struct method *method = NULL;
	int r;

	stage_begin(stages, STAGE_CHECK);
	request->gmemd->settle_for(request);
	r = check(message, request, &method);
	stage_end(stages, STAGE_CHECK, r);
	if (r == 0)
		r = act(request, method);
	if (r < 0)
		refusal_note(request->gmemd, request->caller, message->method, &request->error);
	return r;
}

static struct json_object *answer_of(struct request *request, int r)
{
	struct stages *stages = &request->gmemd->stages;
	struct json_object *message;

	stage_begin(stages, STAGE_ANSWER);
	if (r < 0) {
		request->result = json_unref(request->result);
		fd_list_close(&request->answer_fds);
		message = message_error(request->id, &request->error);
	} else {
		message = message_result(request->id, request->result);
	}
	rpc_error_clear(&request->error);
	request->result = NULL;
	if (request->notification)
		message = json_unref(message);
	stage_end(stages, STAGE_ANSWER, 0);
	return message;
}

static bool has_changed_anything(const struct gmemd *gmemd)
{
	return !TAILQ_EMPTY(&gmemd->registry.noted) || gmemd->reservations.noted;
}

/* A VM before the reservation that it was opened with, so that it is always the one's or the
 * other's. */
static void commit(struct request *request, struct json_object *message)
{
	struct gmemd *gmemd = request->gmemd;

	stage_begin(&gmemd->stages, STAGE_RECORD);
	if (has_changed_anything(gmemd))
		delivery_owe(&request->caller->delivery, &request->numbered, message);
	STEP("request: answer owed");
	vm_ledgers_commit_request(&gmemd->registry, request->numbered.number);
	STEP("request: committed");
	reservation_ledger_commit_request(&gmemd->reservations, request->numbered.number);
	STEP("request: reservations committed");
	stage_end(&gmemd->stages, STAGE_RECORD, 0);
}

/* Its answer, NULL where it is to have none; what it has changed is committed then. */
static struct json_object *finish_request(struct request *request, int r)
{
	struct json_object *message;

	STEP("request: carried out");
	message = answer_of(request, r);
	if (!message && !request->notification)
		delivery_fail(&request->caller->delivery);
	if (!message)
		fd_list_close(&request->answer_fds);
	commit(request, message);
	return message;
}

/* What it has changed so far stays so, whoever gives the answer. */
static void begin_deferred(struct request *request)
{
	struct stages *stages = &request->gmemd->stages;

	STEP("deferred request: begun");
	stage_begin(stages, STAGE_RECORD);
	vm_ledgers_commit(&request->gmemd->registry);
	stage_end(stages, STAGE_RECORD, 0);
	STEP("deferred request: committed");
	request->result = json_unref(request->result);
}

static int read_message(struct request *request, struct request_message *ret)
{
	struct stages *stages = &request->gmemd->stages;
	int r;

	stage_begin(stages, STAGE_PARSE);
	r = request_message_read(request->message, ret, &request->error);
	stage_end(stages, STAGE_PARSE, r);
	request->id = ret->id;
	request->notification = ret->notification;
	return r;
}

/* Carries out again what was deferred until it had what it needs, and answers it, or defers it
 * anew: a request with all that is its own, and its message and files. */
static void go_on(struct request *request, struct deferred_answer *take_deferred)
{
	struct request_message read;
	struct json_object *message;
	int r = read_message(request, &read);

	if (r == 0)
		r = carry_out(&read, request);
	if (r == REQUEST_POSTPONED)
		r = request_postpone(request);
	if (r == REQUEST_DEFERRED) {
		begin_deferred(request);
		deferred_answer_dissolve(take_deferred);
		return;
	}
	message = finish_request(request, r);
	deferred_answer_give_message(take_deferred, message, &request->answer_fds);
}

static void serve_again(struct request *request, struct deferred_answer *take_deferred)
{
	struct stages *stages = &request->gmemd->stages;
	struct stage_request before;

	request->timer = deferred_answer_timer(take_deferred);
	before = stages_turn_to(stages, request->timer.number, request->timer.method);
	go_on(request, take_deferred);
	stages_turn_back(stages, before);
}

static const struct server server = {.serve = serve, .serve_again = serve_again};

/* What ends another, or tells what was done, is served all the same. */
static int carry_out_first(const struct request_message *message, struct request *request)
{
	static const enum method_number always[] = {
		METHOD_PING, METHOD_MEMORY_CANCEL, METHOD_CALL_DONE, METHOD_VM_CLOSE};
	bool exempt = !owner_is_full(request->caller->owner, OWNER_IN_FLIGHT);

	for (size_t i = 0; !exempt && i < sizeof always / sizeof *always; i++)
		exempt = strcmp(message->method, methods[always[i]].name) == 0;
	if (exempt)
		return carry_out(message, request);
	request_limit_error(request, LIMIT_REQUESTS_OF_TENANT,
		"As many requests of the tenant's as may be are not answered yet");
	refusal_note(request->gmemd, request->caller, message->method, &request->error);
	return request->error.code;
}

/* r: what came of reading it. */
static enum serve_outcome serve_read(struct request *request, const struct request_message *read,
	int r, struct json_object **ret_answer)
{
	request->server = &server;
	request_timer_begin(&request->timer, &request->gmemd->stages);
	if (replay_inherited(request, ret_answer))
		return SERVE_ANSWERED;
	delivery_number(&request->caller->delivery, &request->numbered);
	if (r == 0)
		r = carry_out_first(read, request);
	if (r == REQUEST_POSTPONED)
		r = request_postpone(request);
	if (r == REQUEST_DEFERRED) {
		begin_deferred(request);
		return SERVE_DEFERRED;
	}
	*ret_answer = finish_request(request, r);
	request_timer_end(&request->timer, &request->gmemd->request_times, &request->gmemd->stages);
	return SERVE_ANSWERED;
}

enum serve_outcome serve(
	struct json_object *message, struct request *request, struct json_object **ret_answer)
{
	struct request_message read;
	int r;

	request->message = message;
	r = read_message(request, &read);
	return serve_read(request, &read, r, ret_answer);
}

enum serve_outcome serve_plain(const struct request_message *read, struct request *request,
	struct json_object **ret_answer)
{
	request->id = read->id;
	request->notification = read->notification;
	return serve_read(request, read, 0, ret_answer);
}

struct json_object *serve_unreadable(struct caller *caller, const char *why)
{
	struct rpc_error error = {.code = RPC_OK};
	struct json_object *answer;

	if (why == json_no_memory)
		rpc_error_internal(&error, "no memory");
	else
		rpc_error_parse(&error, why);
	answer = message_error(NULL, &error);
	rpc_error_clear(&error);
	if (!answer)
		delivery_fail(&caller->delivery);
	return answer;
}

int serve_too_long_for_batch(struct rpc_error *error)
{
	return rpc_error_too_large(error, "The answer is too long for a batch; ask for it alone",
		BATCH_ANSWER_BYTES_MAX);
}
