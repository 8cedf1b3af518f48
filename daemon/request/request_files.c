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
#include "daemon/request/suspension.h"
#include "kernel/kvm/mailbox.h"
#include "protocol/json.h"

/* A request while its files are taken. */
struct file_wait {
	struct suspension suspension;
	struct taking *taking;
	struct file_wishes wishes; /* what they expect are copies */
	char expected[TAKER_FILES_MAX][96];
};

static void file_wait_free(struct file_wait *wait)
{
	suspension_clear(&wait->suspension);
	free(wait);
}

/* What may be wrong */

void request_taking_error(struct rpc_error *error, const struct config *config,
	const struct taking_result *result, const char *what)
{
	switch (result->result) {
	case -ESRCH:
		rpc_error_gone(error, "process", "that connected");
		break;
	case -EPERM:
		rpc_error_not_permitted(
			error, "gmemd's right to take files of the process, as ptrace(2) has it");
		break;
	case -ETIMEDOUT:
		rpc_error_busy(error, "gmemd could not take the process's file in time", 0);
		break;
	case -EDQUOT:
		limit_error(error, config, result->limit,
			"Every gmemd-taker that may take files of this process hangs");
		break;
	default:
		rpc_error_kernel(error, -result->result, what);
		break;
	}
}

static void fill_error(
	const struct file_wait *wait, const struct taking_result *result, struct rpc_error *error)
{
	const struct file_wish *wish = &wait->wishes.wishes[result->failed];

	if (result->result == -EBADF || result->result == -EINVAL)
		rpc_error_invalid_param(error, wish->param, wish->expected);
	else
		request_taking_error(error, &wait->suspension.gmemd->config, result,
			"taking a file of the process");
}

/* Their end */

static void serve_suspended(struct file_wait *wait, const struct taking_result *result)
{
	struct request_files files = {.count = result->n_fds,
		.fds = result->fds,
		.mapping = result->mapping,
		.reason = result->reason};
	struct request request = suspension_request(&wait->suspension);

	request.files = &files;
	suspension_serve(&wait->suspension, &request);
}

static void files_taken(void *context, struct taking_result *result)
{
	struct file_wait *wait = context;
	struct rpc_error error = {.code = RPC_OK};

	if (result->result == 0) {
		serve_suspended(wait, result);
	} else {
		fill_error(wait, result, &error);
		deferred_answer_refuse(wait->suspension.deferred, &error);
	}
	file_wait_free(wait);
}

static void caller_gone(void *context)
{
	struct file_wait *wait = context;

	taking_cancel(wait->taking);
	suspension_caller_gone(&wait->suspension);
	file_wait_free(wait);
}

/* Their beginning */

static struct file_wait *file_wait_new(const struct file_wishes *wishes)
{
	struct file_wait *wait = calloc(1, sizeof *wait);

	if (!wait)
		return NULL;
	wait->wishes = *wishes;
	for (size_t i = 0; i < wishes->count; i++) {
		snprintf(wait->expected[i], sizeof wait->expected[i], "%s",
			wishes->wishes[i].expected);
		wait->wishes.wishes[i].expected = wait->expected[i];
	}
	return wait;
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
	struct file_wait *wait = file_wait_new(wishes);
	struct taking_request taking = taking_of(request, owner, wishes);
	int r;

	if (!wait)
		return rpc_error_internal(&request->error, "no memory");
	r = taking_start(request->gmemd->takings, &taking, files_taken, wait, &wait->taking);
	if (r == 0) {
		r = suspension_begin(&wait->suspension, request, caller_gone, wait);
		if (r == REQUEST_DEFERRED)
			return r;
		taking_cancel(wait->taking);
	}
	file_wait_free(wait);
	if (request->error.code != RPC_OK)
		return request->error.code;
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
	return rpc_error_busy(
		&request->error, "The VM has changed while the files were taken", /* at once */ 1);
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
