/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.resume: a VM's process goes on with it, after another connection or another gmemd.
 *
 * A VM that gmemd knows, because it was never away or has taken it back, is as it was; what the
 * process tells of it is only compared. One that gmemd has lost, together with its keeper, is
 * rebuilt from what the process still has: the mailbox, whose label says what the VM is and which
 * tenant it was of, and the memories' files. A taker takes all of them, and says whether the
 * mailbox is what the process has mapped: only then it is written again.
 * That a guest_memfd is of this VM the kernel tells nobody; but it is charged to this VM, and to no
 * other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/kill_step.h"
#include "daemon/base/log.h"
#include "daemon/base/privileges.h"
#include "daemon/methods/handle_vm.h"
#include "daemon/methods/methods.h"
#include "daemon/methods/resume_content.h"
#include "daemon/release/vm_watch.h"
#include "daemon/request/answer_files.h"
#include "daemon/request/request.h"
#include "daemon/request/request_files.h"
#include "daemon/request/request_tenant.h"
#include "daemon/request/resumption.h"
#include "daemon/tenant/tenant_rules.h"
#include "daemon/vm/backend.h"
#include "daemon/vm/mailbox_label.h"
#include "daemon/vm/vm_end.h"
#include "daemon/vm/vm_held.h"
#include "daemon/vm/vm_ledger.h"
#include "daemon/vm/vm_new.h"
#include "protocol/json.h"

static int answer_resumed(struct request *request, struct vm *vm)
{
	int r = request_answer_vm(request, vm);

	if (r < 0)
		return r;
	json_add_bool(request->result, "rebuilt", vm->rebuilt);
	resumption_note(request, vm);
	return 0;
}

/* 0 where the request has them: of a VM that gmemd has lost, the mailbox before the memories. */
static int take_files(struct request *request, struct owner *owner, bool of_lost)
{
	const struct vm_resume_parameters *parameters = &request->parameters.vm_resume;
	struct file_wishes wishes = {.count = 0, .verify = of_lost};

	if (of_lost)
		wishes.wishes[wishes.count++] = (struct file_wish){.param = "mailbox",
			.number = parameters->mailbox,
			.kind = TAKER_MAILBOX,
			.expected = "the number of the VM's mailbox, as vm.open gave it"};
	for (size_t i = 0; i < parameters->memories.count; i++)
		wishes.wishes[wishes.count++] = resume_memory_wish(parameters, i);
	return wishes.count == 0 ? 0 : request_take_files(request, owner, &wishes);
}

/* A VM that gmemd knows */

static int resume_known(struct request *request, struct vm *vm)
{
	int r = take_files(request, vm->owner, /* of_lost= */ false);

	if (r == 0)
		r = resume_content(request, vm);
	if (r == 0)
		r = answer_resumed(request, vm);
	if (r == 0)
		audit_vm(&request->gmemd->audit, ACT_VM_RESUMED, vm,
			"process %d goes on with it on another connection", vm->process.pid);
	return r;
}

/* A VM that gmemd has lost */

static void forget(struct vm *vm)
{
	watch_stop(vm);
	vm_free(vm);
}

static void log_promise(const struct vm *vm)
{
	if (vm->budget.limit != BUDGET_UNLIMITED && !vm->budget.is_promised)
		log_vm_warning(vm->id,
			"it was promised %" PRIu64
			" bytes, which are promised to others by now: it "
			"shares what the host has left",
			vm->budget.limit);
}

static void announce_rebuilt(struct gmemd *gmemd, struct vm *vm)
{
	vm_state_change(&vm->state, VM_RUNNING);
	mailbox_clear_free(vm->mailbox);
	vm_ledger_note_vm(vm);
	vm_ledger_commit(vm);
	STEP("vm.resume: committed");
	vm_put(vm);
	STEP("vm.resume: put");
	audit_vm(&gmemd->audit, ACT_VM_RESUMED, vm,
		"rebuilt as \"%s\" from what process %d of user %u still has", vm->name,
		vm->process.pid, vm->process.uid);
	if (vm->gate == VM_GATE_LOST)
		audit_vm(&gmemd->audit, ACT_GATE_LOST, vm, "its gate has lost its listener");
	log_promise(vm);
	events_vm(&gmemd->events, vm, EVENT_VM_OPENED);
	events_vm(&gmemd->events, vm, EVENT_VM_RUNNING);
}

static int no_such_vm(struct request *request)
{
	return rpc_error_not_found(&request->error, "vm", request->parameters.vm_resume.vm);
}

/* That the VM was this process's, and what it is. */
static int read_label(struct request *request, struct label *ret)
{
	const struct vm_resume_parameters *parameters = &request->parameters.vm_resume;
	char id[32];

	if (mailbox_label_read(request->files->fds[0], ret) < 0)
		return rpc_error_invalid_param(
			&request->error, "mailbox", "the number of a VM's mailbox, with its label");
	snprintf(id, sizeof id, "vm-%" PRIu64, ret->number);
	if (strcmp(id, parameters->vm) != 0 || ret->process != request->caller->process.identity ||
		!registry_has_had_id(&request->gmemd->registry, ret->number))
		return no_such_vm(request);
	return 0;
}

/* A VM without a gate may have its mailbox where it likes. */
static int check_mapping(struct request *request, const struct label *label)
{
	const struct request_files *files = request->files;

	if (!label->gate || files->mapping == 0)
		return 0;
	if (audit_admits_line(&request->gmemd->audit, &request->caller->process))
		log_warning("vm-%" PRIu64 " is not resumed: %s", label->number, files->reason);
	return rpc_error_not_permitted(&request->error, files->reason);
}

/* A reference to who is charged for it: whoever asks, in the tenant that the VM was of. */
static int find_opener(struct request *request, const struct label *label, struct owner **ret)
{
	struct owner_name name = owner_name(request->caller->owner);
	char of_peer[TENANT_NAME_SIZE];
	int r;

	strcpy(of_peer, name.tenant);
	r = tenant_of_lost_vm(&request->gmemd->config,
		&(struct lost_vm_tenant){.uid = label->uid,
			.noted = label->has_tenant ? label->tenant : NULL,
			.of_peer = of_peer},
		name.tenant);
	if (r < 0)
		return request_tenant_not_open(request, name.tenant);
	if (owner_get(request->gmemd->owners, &name, ret) < 0)
		return rpc_error_internal(&request->error, "no memory");
	return 0;
}

/* As of one that is opened. */
static int check_label(
	struct request *request, const struct owner *opener, const struct label *label)
{
	const struct vm_open_parameters told = {
		.name = label->name,
		.uuid = label->uuid,
		.commit_limit = label->commit_limit,
		.initial_state =
			label->initially_private ? INITIAL_STATE_PRIVATE : INITIAL_STATE_SHARED,
		.gate = label->gate ? GATE_WANTED_REQUIRED : GATE_WANTED_NONE,
	};
	int r;

	r = request_may_offer_vm(request, opener, &told, label->type);
	return r < 0 ? r : request_may_have_vm(request, label->uid, label->name, label->uuid);
}

static int rebuild(
	struct request *request, struct owner *opener, const struct label *label, struct vm **ret)
{
	struct registry *registry = &request->gmemd->registry;
	struct mailbox *mailbox;
	int r;

	privileges_raise_to_fix();
	r = mailbox_reopen(request->files->fds[0], &mailbox);
	if (r == 0)
		mailbox_fix(mailbox);
	privileges_lower();
	if (r == -EROFS)
		return rpc_error_invalid_param(&request->error, "mailbox",
			"one that a later gmemd can write, not one of a gmemd without a keeper");
	if (r < 0)
		return rpc_error_kernel(&request->error, -r, "opening the mailbox again");
	r = vm_resume(registry, &request->caller->process, opener, label, mailbox, ret);
	if (r < 0) {
		mailbox_free(mailbox);
		return request_vm_error(request, opener, r);
	}
	if (watch_process(request->gmemd, *ret) == 0)
		return 0;
	vm_free(*ret);
	return rpc_error_internal(&request->error, "no memory");
}

/* As its label and its tenant have it, without its content. */
static int resume_labelled(struct request *request, const struct label *label, struct vm **ret)
{
	struct owner *opener;
	int r = find_opener(request, label, &opener);

	if (r < 0)
		return r;
	r = check_label(request, opener, label);
	if (r == 0)
		r = check_mapping(request, label);
	if (r == 0)
		r = rebuild(request, opener, label, ret);
	owner_unref(opener);
	return r;
}

static int resume_lost(struct request *request)
{
	struct label label;
	struct vm *vm;
	int r;

	if (request->parameters.vm_resume.mailbox < 0)
		return no_such_vm(request);
	r = take_files(request, request->caller->owner, /* of_lost= */ true);
	if (r == 0)
		r = read_label(request, &label);
	if (r == 0)
		r = resume_labelled(request, &label, &vm);
	if (r != 0)
		return r;
	STEP("vm.resume: rebuilt");
	r = resume_content(request, vm);
	STEP("vm.resume: its content");
	if (r == 0)
		r = answer_resumed(request, vm);
	if (r < 0)
		forget(vm);
	else
		announce_rebuilt(request->gmemd, vm);
	return r;
}

int handle_vm_resume(struct request *request)
{
	const char *id = request->parameters.vm_resume.vm;
	struct vm *vm = registry_vm_by_id(&request->gmemd->registry, id);
	int r;

	if (!vm)
		return request->gmemd->registry.backend->needs_gate ? resume_lost(request)
								    : no_such_vm(request);
	r = request_vm(request, id, &vm);
	return r < 0 ? r : resume_known(request, vm);
}
