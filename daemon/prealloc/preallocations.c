/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The preallocations that are under way. See preallocations.h.
 */
#include "daemon/prealloc/preallocations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/kill_step.h"
#include "daemon/pages/page_worker.h"
#include "daemon/prealloc/helper_run.h"
#include "daemon/request/deferred_answer.h"
#include "protocol/json.h"

struct preallocating {
	TAILQ_ENTRY(preallocating) link;
	struct gmemd *gmemd;
	struct preallocation *preallocation;
	struct deferred_answer *deferred;
	uint64_t vm, memory; /* their numbers */
	uint64_t process;    /* who asked, */
	struct owner *owner; /* and whose that is, which is charged for it */
	char *token;         /* NULL: none */
	uint64_t size;
	bool populate;
	bool stopped; /* as its memory is closed */
};

/* What came of one, while it is counted how much its memory has. */
struct ending {
	struct deferred_answer *deferred;
	struct preallocation_result result;
	uint64_t size;
	bool populate;
};

/* Those of a user's and of the host's. */
static void give_back_charges(struct owner *owner)
{
	owner_give_back(owner, OWNER_PREALLOCATIONS_ON_HOST);
	owner_give_back(owner, OWNER_PREALLOCATIONS);
}

static void free_one(struct preallocating *one)
{
	preallocation_free(one->preallocation);
	give_back_charges(one->owner);
	free(one->token);
	free(one);
}

static void preallocation_forget(struct preallocating *one)
{
	TAILQ_REMOVE(&one->gmemd->preallocating, one, link);
	free_one(one);
}

/* 0 stands for any. */
static bool is_of(const struct preallocating *one, uint64_t vm, uint64_t memory)
{
	return (vm == 0 || one->vm == vm) && (memory == 0 || one->memory == memory);
}

/* Its end */

static int fill_error(const struct ending *ending, struct rpc_error *error)
{
	const struct preallocation_result *result = &ending->result;

	switch (result->outcome) {
	case PREALLOCATION_DONE:
	case PREALLOCATION_CANCELLED:
		return 0;
	case PREALLOCATION_NO_ROOM:
	case PREALLOCATION_OUT_OF_MEMORY:
		if (result->room.limit == CGROUP_UNLIMITED)
			rpc_error_kernel(error, ENOMEM, "allocating");
		else
			rpc_error_budget_exceeded(error, "cgroup", result->room.limit,
				result->room.used, 0, ending->size);
		break;
	case PREALLOCATION_KILLED:
		rpc_error_kernel(error, EINTR, "allocating, for the helper was killed");
		break;
	case PREALLOCATION_CGROUP_GONE:
		rpc_error_gone(error, "cgroup", "of the VM's process");
		break;
	case PREALLOCATION_FAILED:
		rpc_error_kernel(error, -result->error,
			ending->populate ? "fallocate or MADV_POPULATE_WRITE" : "fallocate");
		break;
	}
	rpc_error_detail_uint(error, "allocated", result->allocated);
	return error->code;
}

static void pages_counted(struct page_job *job)
{
	struct ending *ending = job->context;
	struct rpc_error error = {.code = RPC_OK};
	struct json_object *result;

	if (fill_error(ending, &error) < 0) {
		deferred_answer_refuse(ending->deferred, &error);
	} else {
		result = json_new_object();
		json_add_uint(result, "allocated", ending->result.allocated);
		json_add_uint(result, "resident", job->parts[0].resident);
		if (ending->result.elsewhere > 0)
			json_add_uint(result, "elsewhere", ending->result.elsewhere);
		if (ending->result.outcome == PREALLOCATION_CANCELLED)
			json_add_bool(result, "cancelled", true);
		deferred_answer_give(ending->deferred, result);
	}
	free(ending);
	page_job_free(job);
}

static void end_stopped(struct preallocating *one)
{
	struct rpc_error error = {.code = RPC_OK};
	struct deferred_answer *deferred = one->deferred;

	rpc_error_gone_number(&error, "memory", one->memory);
	deferred_answer_ending(deferred);
	preallocation_forget(one);
	deferred_answer_refuse(deferred, &error);
}

static void preallocation_end(struct preallocating *one, const struct preallocation_result *result)
{
	struct gmemd *gmemd = one->gmemd;
	struct memory *memory = registry_memory(&gmemd->registry, one->memory);
	struct ending *ending = malloc(sizeof *ending);
	struct page_job *job = memory ? page_job_new(memory->vm->owner, 1) : NULL;
	struct rpc_error error = {.code = RPC_OK};
	struct deferred_answer *deferred = one->deferred;

	deferred_answer_ending(deferred);
	if (memory && ending && job) {
		*ending = (struct ending){deferred, *result, one->size, one->populate};
		page_job_add(job, PAGES_COUNT, memory->pages, 0, memory->size);
		job->done = pages_counted;
		job->context = ending;
		preallocation_forget(one);
		page_worker_do(gmemd->pages, job);
		return;
	}
	preallocation_forget(one);
	page_job_free(job);
	free(ending);
	rpc_error_internal(&error, "no memory");
	deferred_answer_refuse(deferred, &error);
}

/* One whose helpers have all ended. */
static struct preallocating_wait *find_over(struct gmemd *gmemd)
{
	const struct preallocating *one;
	struct preallocating_wait *wait;

	TAILQ_FOREACH (wait, &gmemd->preallocating_waits, link) {
		TAILQ_FOREACH (one, &gmemd->preallocating, link) {
			if (is_of(one, wait->vm, wait->memory))
				break;
		}
		if (!one)
			return wait;
	}
	return NULL;
}

static void tell_waiting(struct gmemd *gmemd)
{
	struct preallocating_wait *wait;

	while ((wait = find_over(gmemd))) {
		TAILQ_REMOVE(&gmemd->preallocating_waits, wait, link);
		wait->over(wait);
	}
}

static void preallocation_done(void *context, const struct preallocation_result *result)
{
	struct preallocating *one = context;
	struct gmemd *gmemd = one->gmemd;

	if (one->stopped)
		end_stopped(one);
	else
		preallocation_end(one, result);
	tell_waiting(gmemd);
}

static void progress(void *context, uint64_t bytes, uint64_t total)
{
	const struct preallocating *one = context;
	struct json_object *params;

	if (!one->token)
		return;
	params = json_new_object();
	json_add_string(params, "token", one->token);
	json_add_uint(params, "done", bytes);
	json_add_uint(params, "total", total);
	deferred_answer_notify(one->deferred, "progress", params);
}

static void peer_gone(void *context)
{
	const struct preallocating *one = context;

	preallocation_cancel(one->preallocation);
}

/* Its beginning */

static int too_many(struct request *request, enum limit limit)
{
	return request_limit_error(
		request, limit, "There are as many preallocations under way as there may be");
}

static int check_vm(struct request *request, const struct memory *memory)
{
	const struct preallocating *one;
	unsigned of_vm = 0;

	TAILQ_FOREACH (one, &request->gmemd->preallocating, link)
		of_vm += one->vm == memory->vm->number;
	if (of_vm < request->gmemd->config.preallocations_per_vm)
		return 0;
	return too_many(request, LIMIT_PREALLOCATIONS_PER_VM);
}

static int charge_owner(struct request *request, struct owner *owner)
{
	if (owner_charge(owner, OWNER_PREALLOCATIONS) < 0)
		return too_many(request, LIMIT_PREALLOCATIONS_PER_USER);
	if (owner_charge(owner, OWNER_PREALLOCATIONS_ON_HOST) == 0)
		return 0;
	owner_give_back(owner, OWNER_PREALLOCATIONS);
	return too_many(request, LIMIT_PREALLOCATIONS_ON_HOST);
}

static int check_token(struct request *request, const char *token)
{
	const struct preallocating *one;

	TAILQ_FOREACH (one, &request->gmemd->preallocating, link) {
		if (!token || !one->token ||
			owner_uid(one->owner) != owner_uid(request->caller->owner) ||
			strcmp(one->token, token) != 0)
			continue;
		rpc_error_conflict(&request->error, "token", "The token is in use");
		rpc_error_detail_string(&request->error, "token", token);
		return request->error.code;
	}
	return 0;
}

static int start_error(struct request *request, int r)
{
	struct rpc_error *error = &request->error;

	if (r == -ESRCH)
		return rpc_error_gone(error, "process", "of the VM");
	if (r == -E2BIG)
		return rpc_error_kernel(
			error, ESRCH, "finding a living thread of the VM's process");
	if (r == -ENODEV)
		return rpc_error_gone(error, "cgroup", "of the VM's process");
	if (r == -EACCES)
		return rpc_error_not_permitted(
			error, "gmemd's right to enter the memory cgroup of the VM");
	if (r == -EXDEV)
		return rpc_error_unsupported(error, "a view of the VM's memory cgroup",
			request->gmemd->host.kernel_release);
	if (r == -ENOMEM)
		return rpc_error_internal(error, "no memory");
	return rpc_error_kernel(error, -r, "starting the helper");
}

/* Where there is no memory controller nobody is charged. */
static int find_cgroup(const struct vm *vm, struct cgroup *cgroup, const struct cgroup **ret)
{
	int r;

	*ret = NULL;
	if (vm->charge == CHARGE_BROKER)
		return 0;
	r = cgroup_of_process(vm->process.pid, vm->process.pidfd, cgroup);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		*ret = cgroup;
	return r;
}

static int start_helper(struct preallocating *one, const struct memory *memory,
	const struct memory_preallocate_parameters *parameters)
{
	uint64_t threads = parameters->threads;
	struct preallocation_request wanted = {.file = memory->fd,
		.offset = parameters->offset,
		.size = one->size,
		.threads = threads == FIELD_UNSET ? 0 : (unsigned)threads,
		.populate = parameters->populate,
		.node = memory->node};
	const struct preallocation_events events = {progress, preallocation_done, one};
	struct cgroup cgroup;
	int r;

	r = find_cgroup(memory->vm, &cgroup, &wanted.cgroup);
	if (r < 0)
		return r;
	r = preallocation_start(one->gmemd->base, &wanted, &events, &one->preallocation);
	if (wanted.cgroup)
		cgroup_release(&cgroup);
	return r;
}

/* Takes the owner's charges. */
static struct preallocating *new_one(
	struct request *request, const struct memory *memory, uint64_t size)
{
	const char *token = request->parameters.memory_preallocate.token;
	struct preallocating *one = calloc(1, sizeof *one);

	if (!one) {
		give_back_charges(request->caller->owner);
		return NULL;
	}
	*one = (struct preallocating){.gmemd = request->gmemd,
		.vm = memory->vm->number,
		.memory = memory->id,
		.process = request->caller->process.identity,
		.owner = request->caller->owner,
		.token = token ? strdup(token) : NULL,
		.size = size,
		.populate = request->parameters.memory_preallocate.populate};
	TAILQ_INSERT_TAIL(&request->gmemd->preallocating, one, link);
	if (!token || one->token)
		return one;
	preallocation_forget(one);
	return NULL;
}

int preallocating_start(struct request *request, struct memory *memory, uint64_t size)
{
	const struct memory_preallocate_parameters *parameters =
		&request->parameters.memory_preallocate;
	struct preallocating *one;
	int r;

	r = check_token(request, parameters->token);
	if (r == 0)
		r = check_vm(request, memory);
	if (r == 0)
		r = charge_owner(request, request->caller->owner);
	if (r < 0)
		return r;
	one = new_one(request, memory, size);
	r = one ? start_helper(one, memory, parameters) : -ENOMEM;
	STEP("memory.preallocate: begun");
	if (r == 0) {
		one->deferred = request_defer(request, DEFERRED_ANSWER_WHENEVER, peer_gone, one);
		r = one->deferred ? REQUEST_DEFERRED : -ENOMEM;
	}
	if (r < 0 && one)
		preallocation_forget(one);
	return r < 0 ? start_error(request, r) : r;
}

bool preallocating_cancel(struct gmemd *gmemd, const struct caller *caller, const char *token)
{
	const struct preallocating *one;

	TAILQ_FOREACH (one, &gmemd->preallocating, link) {
		bool own = one->process == caller->process.identity;

		if (!one->token || strcmp(one->token, token) != 0)
			continue;
		if (!own && caller->access != ACCESS_OPERATOR)
			continue;
		preallocation_cancel(one->preallocation);
		return true;
	}
	return false;
}

/* False where there are none. */
static bool stop_those(struct gmemd *gmemd, uint64_t vm, uint64_t memory)
{
	struct preallocating *one;
	bool any = false;

	TAILQ_FOREACH (one, &gmemd->preallocating, link) {
		if (!is_of(one, vm, memory))
			continue;
		one->stopped = any = true;
		preallocation_cancel(one->preallocation);
	}
	return any;
}

static bool stop_and_wait(
	struct gmemd *gmemd, uint64_t vm, uint64_t memory, struct preallocating_wait *wait)
{
	bool any = stop_those(gmemd, vm, memory);

	if (!any || !wait)
		return any;
	wait->vm = vm;
	wait->memory = memory;
	TAILQ_INSERT_TAIL(&gmemd->preallocating_waits, wait, link);
	return true;
}

bool preallocating_stop_memory(
	struct gmemd *gmemd, const struct memory *memory, struct preallocating_wait *wait)
{
	return stop_and_wait(gmemd, 0, memory->id, wait);
}

bool preallocating_stop_vm(
	struct gmemd *gmemd, const struct vm *vm, struct preallocating_wait *wait)
{
	return stop_and_wait(gmemd, vm->number, 0, wait);
}

void preallocating_stop_all(struct gmemd *gmemd)
{
	struct preallocating *one;

	stop_those(gmemd, 0, 0);
	while ((one = TAILQ_FIRST(&gmemd->preallocating))) {
		preallocation_finish(one->preallocation);
		one->preallocation = NULL;
		end_stopped(one);
	}
	tell_waiting(gmemd);
}
