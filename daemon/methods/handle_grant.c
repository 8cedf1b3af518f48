/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.grant, and memory.open by who was granted it.
 */
#include "daemon/methods/handle_grant.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "daemon/base/kill_step.h"
#include "daemon/methods/methods.h"
#include "daemon/request/answer_files.h"
#include "daemon/request/request_files.h"
#include "daemon/vm/memory.h"
#include "daemon/vm/vm_ledger.h"
#include "kernel/base/cleanup.h"
#include "protocol/json.h"

static const char notice[] =
	"Whoever opens the memory can keep its file, and pass it on: a guest_memfd can't be taken "
	"back. Closing the memory ends the grant, frees its pages and counts what comes back.";

/* To whom */

static int check_one(struct request *request, const struct memory_grant_to *to)
{
	unsigned given = (to->uid != FIELD_UNSET) + (to->pid != FIELD_UNSET) + (to->pidfd >= 0);

	if (given == 1)
		return 0;
	return rpc_error_invalid_param(
		&request->error, "to", "an object with one of uid, pid and pidfd");
}

static int no_process(struct request *request)
{
	return rpc_error_invalid_param(&request->error, "to.pid",
		"a process in the caller's and gmemd's PID namespace; of another it is to.pidfd");
}

/* Of a number that may be another process's later it is the pidfd that counts, from here on. */
static int read_pid(struct request *request, pid_t pid, struct grant *ret)
{
	cleanup_fd int pidfd = -1;

	if (!process_shares_pid_namespace(request->caller->process.pid))
		return no_process(request);
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0 || process_ended(pidfd) || process_identity(pidfd, pid, &ret->identity) < 0)
		return no_process(request);
	ret->pid = pid;
	return 0;
}

static int read_pidfd(struct request *request, struct owner *owner, int number, struct grant *ret)
{
	static const char expected[] = "the number of a pidfd of a process that has not ended";
	const struct file_wish wish = {
		.param = "to.pidfd", .number = number, .kind = TAKER_PIDFD, .expected = expected};
	int pidfd, r;

	r = request_take_file(request, owner, &wish, &pidfd);
	if (r != 0)
		return r;
	if (process_pid(pidfd, &ret->pid) < 0)
		ret->pid = 0;
	if (process_ended(pidfd) || process_identity(pidfd, ret->pid, &ret->identity) < 0)
		return rpc_error_invalid_param(&request->error, "to.pidfd", expected);
	return 0;
}

static int read_grantee(struct request *request, const struct memory *memory,
	const struct memory_grant_to *to, struct grant *ret)
{
	int r = check_one(request, to);

	if (r < 0)
		return r;
	ret->kind = to->uid != FIELD_UNSET ? GRANT_TO_USER : GRANT_TO_PROCESS;
	if (to->uid != FIELD_UNSET) {
		ret->uid = (uid_t)to->uid;
		return 0;
	}
	if (to->pid != FIELD_UNSET)
		return read_pid(request, (pid_t)to->pid, ret);
	return read_pidfd(request, memory->vm->owner, to->pidfd, ret);
}

/* The grant */

static int check_room(struct request *request, const struct vm *vm)
{
	if (vm->grants.count < vm->registry->config->grants_per_vm)
		return 0;
	return request_limit_error(request, LIMIT_GRANTS_PER_VM,
		"The VM has as many grants, and processes that have opened its memories, as it "
		"may have");
}

static void describe_grantee(const struct grant *grant, char *ret, size_t size)
{
	if (grant->kind == GRANT_TO_USER)
		snprintf(ret, size, "user %u", grant->uid);
	else
		snprintf(ret, size, "process %d", grant->pid);
}

static void audit_granted(struct gmemd *gmemd, const struct vm *vm, const struct grant *grant)
{
	char id[24], memory[24], to[32];

	snprintf(id, sizeof id, "%" PRIu64, grant->id);
	snprintf(memory, sizeof memory, "%" PRIu64, grant->memory);
	describe_grantee(grant, to, sizeof to);
	audit_write(&gmemd->audit,
		&(struct audit_entry){.act = ACT_GRANT_MADE,
			.vm = vm,
			.also = {{"GMEMD_GRANT", id}, {"GMEMD_MEMORY", memory}, {"GMEMD_TO", to}}},
		"%s may open memory %s%s", to, memory, grant->once ? ", once" : "");
}

static int make_grant(struct request *request, struct vm *vm, const struct grant *told)
{
	struct grant *grant = grants_add(&vm->grants, told);

	if (!grant)
		return rpc_error_internal(&request->error, "no memory");
	vm_ledger_note_grant(vm, grant);
	STEP("memory.grant: noted");
	audit_granted(request->gmemd, vm, grant);
	json_add_uint(request->result, "grant", grant->id);
	json_add_bool(request->result, "revocable", false);
	json_add_string(request->result, "notice", notice);
	return 0;
}

int handle_memory_grant(struct request *request)
{
	const struct memory_grant_parameters *parameters = &request->parameters.memory_grant;
	struct grant grant = {.memory = parameters->memory, .once = parameters->once};
	struct memory *memory;
	int r;

	r = request_memory(request, parameters->memory, &memory);
	if (r == 0)
		r = check_room(request, memory->vm);
	if (r == 0)
		r = read_grantee(request, memory, parameters->to.items, &grant);
	if (r != 0)
		return r;
	grant.id = registry_next_id(memory->vm->registry);
	return make_grant(request, memory->vm, &grant);
}

/* Its use */

static void audit_opened(struct gmemd *gmemd, const struct memory *memory,
	const struct grant *holding, const struct process *by)
{
	char id[24], number[24];

	snprintf(id, sizeof id, "%" PRIu64, holding->id);
	snprintf(number, sizeof number, "%" PRIu64, memory->id);
	audit_write(&gmemd->audit,
		&(struct audit_entry){.act = ACT_MEMORY_OPENED,
			.vm = memory->vm,
			.by = by,
			.also = {{"GMEMD_GRANT", id}, {"GMEMD_MEMORY", number}}},
		"process %d of user %u has opened memory %s by a grant", by->pid, by->uid, number);
}

/* A grant for once becomes the holding; else there is one more, but for who has one already. */
static struct grant *hold(struct vm *vm, struct grant *grant, const struct process *process)
{
	struct grant told = grant_holding_of(grant, process);
	struct grant *holding = grants_find_holding(&vm->grants, told.memory, told.identity);

	if (!holding && !grant->once)
		return grants_add(&vm->grants, &told);
	if (holding && grant->once) {
		vm_ledger_forget_grant(vm, grant);
		grants_remove(&vm->grants, grant);
	} else if (grant->once) {
		told.record = grant->record;
		told.link = grant->link;
		*grant = told;
		holding = grant;
	}
	return holding;
}

int request_use_grant(struct request *request, struct memory *memory, struct grant *grant)
{
	const struct process *process = &request->caller->process;
	struct grant *holding = hold(memory->vm, grant, process);

	if (!holding)
		return rpc_error_internal(&request->error, "no memory");
	vm_ledger_note_grant(memory->vm, holding);
	STEP("memory.open: by a grant, noted");
	audit_opened(request->gmemd, memory, holding, process);
	return 0;
}

/* A successor carries out again what may have been done, and its grant used. */
static bool may_open(const struct request *request, const struct grant *grant, bool holds)
{
	return grant || (holds && delivery_is_again(&request->caller->delivery));
}

int request_granted_memory(
	struct request *request, uint64_t id, struct memory **ret, struct grant **ret_grant)
{
	struct memory *memory = registry_memory(&request->gmemd->registry, id);
	const struct process *process = &request->caller->process;
	struct grant *grant;
	bool holds;

	if (!memory || memory->state != OBJECT_READY || request->caller->access != ACCESS_VMM)
		return request->error.code;
	grant = grants_find(&memory->vm->grants, id, process);
	holds = grants_find_holding(&memory->vm->grants, id, process->identity);
	if (!may_open(request, grant, holds))
		return request->error.code;
	rpc_error_clear(&request->error);
	*ret = memory;
	*ret_grant = grant;
	return !grant || grant->once || holds ? 0 : check_room(request, memory->vm);
}
