/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that a request names. See request_files.h.
 */
#include "daemon/request/request_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/peerfd/taker_client.h"
#include "daemon/request/deferred_answer.h"
#include "kernel/kvm/mailbox.h"
#include "protocol/json.h"

/* A request while its files are taken. What it was is carried out again then. */
struct suspension {
	const struct server *server;
	struct gmemd *gmemd;
	struct caller *caller;
	struct json_object *message;
	struct batch *batch;
	struct numbered_request numbered;
	struct deferred_answer *deferred;
	struct taking *taking;
	struct file_wishes wishes; /* what they expect are copies */
	char expected[TAKER_FILES_MAX][96];
};

static void suspension_free(struct suspension *suspension)
{
	json_unref(suspension->message);
	free(suspension);
}

/* What may be wrong */

static void fill_error(const struct suspension *suspension, const struct taking_result *result,
	struct rpc_error *error)
{
	const struct file_wish *wish = &suspension->wishes.wishes[result->failed];

	switch (result->result) {
	case -EBADF:
	case -EINVAL:
		rpc_error_invalid_param(error, wish->param, wish->expected);
		break;
	case -ESRCH:
		rpc_error_gone(error, "process", "that connected");
		break;
	case -EPERM:
		rpc_error_not_permitted(
			error, "gmemd's right to take files of the process, as ptrace(2) has it");
		break;
	case -ETIMEDOUT:
		rpc_error_busy(error, "The process can't be asked for the file in time", 0);
		break;
	case -EDQUOT:
		limit_error(error, &suspension->gmemd->config, result->limit,
			"All processes that may take files for it hang");
		break;
	default:
		rpc_error_kernel(error, -result->result, "taking a file of the process");
		break;
	}
}

/* Their end */

static void serve_suspended(struct suspension *suspension, const struct taking_result *result)
{
	struct request_files files = {.count = result->n_fds,
		.fds = result->fds,
		.mapping = result->mapping,
		.reason = result->reason};
	struct request request = {
		.server = suspension->server,
		.gmemd = suspension->gmemd,
		.caller = suspension->caller,
		.message = suspension->message,
		.batch = suspension->batch,
		.numbered = suspension->numbered,
		.files = &files,
	};

	suspension->server->serve_again(&request, suspension->deferred);
}

static void files_taken(void *context, struct taking_result *result)
{
	struct suspension *suspension = context;
	struct rpc_error error = {.code = RPC_OK};

	deferred_answer_ending(suspension->deferred);
	if (result->result == 0) {
		serve_suspended(suspension, result);
	} else {
		fill_error(suspension, result, &error);
		deferred_answer_refuse(suspension->deferred, &error);
	}
	suspension_free(suspension);
}

static void caller_gone(void *context)
{
	struct suspension *suspension = context;
	struct rpc_error error = {.code = RPC_OK};

	taking_cancel(suspension->taking);
	rpc_error_gone(&error, "process", "that connected");
	deferred_answer_refuse(suspension->deferred, &error);
	suspension_free(suspension);
}

/* Their beginning */

static struct suspension *suspension_new(
	const struct request *request, const struct file_wishes *wishes)
{
	struct suspension *suspension = malloc(sizeof *suspension);

	if (!suspension)
		return NULL;
	suspension->server = request->server;
	suspension->gmemd = request->gmemd;
	suspension->caller = request->caller;
	suspension->message = json_ref(request->message);
	suspension->batch = request->batch;
	suspension->numbered = request->numbered;
	suspension->wishes = *wishes;
	for (size_t i = 0; i < wishes->count; i++) {
		snprintf(suspension->expected[i], sizeof suspension->expected[i], "%s",
			wishes->wishes[i].expected);
		suspension->wishes.wishes[i].expected = suspension->expected[i];
	}
	return suspension;
}

static struct taking_request taking_of(
	const struct request *request, struct owner *owner, const struct file_wishes *wishes)
{
	struct taking_request taking = {.owner = owner,
		.process = &request->caller->process,
		.n_files = wishes->count,
		.verify = wishes->verify,
		.of_file = wishes->verify};

	for (size_t i = 0; i < wishes->count; i++) {
		const struct file_wish *wish = &wishes->wishes[i];

		taking.files[i] = (struct taker_file){
			.number = wish->number, .kind = wish->kind, .expected = wish->size};
	}
	if (wishes->verify)
		mailbox_layout(&taking.mapping.address, &taking.mapping.length);
	return taking;
}

static int suspend(struct request *request, struct owner *owner, const struct file_wishes *wishes)
{
	struct suspension *suspension = suspension_new(request, wishes);
	struct taking_request taking = taking_of(request, owner, wishes);
	int r;

	if (!suspension)
		return rpc_error_internal(&request->error, "no memory");
	r = taking_start(
		request->gmemd->takings, &taking, files_taken, suspension, &suspension->taking);
	if (r == 0) {
		suspension->deferred =
			request_defer(request, DEFERRED_ANSWER_IN_ORDER, caller_gone, suspension);
		if (suspension->deferred)
			return REQUEST_DEFERRED;
		taking_cancel(suspension->taking);
		r = -ENOMEM;
	}
	suspension_free(suspension);
	if (r == -ENOMEM)
		return rpc_error_internal(&request->error, "no memory");
	return rpc_error_kernel(&request->error, -r, "taking a file of the process");
}

int request_take_files(
	struct request *request, struct owner *owner, const struct file_wishes *wishes)
{
	if (!request->files && request->caller->process.pid == 0)
		return request_process_unseen(request);
	if (!request->files)
		return suspend(request, owner, wishes);
	if (request->files->count == wishes->count)
		return 0;
	/* What is known of a VM has changed while they were taken. */
	return rpc_error_busy(&request->error, "Something has changed meanwhile", /* at once */ 1);
}

int request_take_file(
	struct request *request, struct owner *owner, const struct file_wish *wish, int *ret_fd)
{
	struct file_wishes wishes = {.count = 1, .wishes = {*wish}};
	int r = request_take_files(request, owner, &wishes);

	if (r == 0)
		*ret_fd = request->files->fds[0];
	return r;
}

int request_take_over(struct request *request, size_t index)
{
	int fd = request->files->fds[index];

	request->files->fds[index] = -1; /* handed over */
	return fd;
}
