/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replays. See replay.h.
 */
#include "daemon/request/replay.h"

#include "daemon/request/answer_files.h"
#include "protocol/json.h"
#include "protocol/message.h"

/* Or has opened it by a grant. */
static bool caller_has_memory(const struct caller *caller, const struct memory *memory)
{
	return caller_sees_vm(caller, memory->vm) ||
	       grants_find_holding(&memory->vm->grants, memory->id, caller->process.identity);
}

/* Those of what the caller may know of alone, whatever the ledger says. */
static int take_files(struct request *request, const struct owed_answer *owed)
{
	struct registry *registry = &request->gmemd->registry;
	struct memory *memory;
	struct vm *vm;

	if (owed->files == OWED_VM_FILES) {
		vm = registry_vm_by_number(registry, owed->object);
		if (vm && !caller_sees_vm(request->caller, vm))
			vm = NULL;
		return request_take_vm_files(request, vm);
	}
	if (owed->files == OWED_MEMORY_FILE) {
		memory = registry_memory(registry, owed->object);
		if (memory && !caller_has_memory(request->caller, memory))
			memory = NULL;
		return request_take_memory_file(request, memory);
	}
	return 0;
}

/* What can't be given any more is what was asked for and has been lost since. NULL: no memory. */
static struct json_object *answer_with_files(
	struct request *request, const struct owed_answer *owed)
{
	struct json_object *answer;
	const char *why;

	if (take_files(request, owed) == 0)
		return json_parse(owed->text, owed->length, &why);
	answer = message_error(request->id, &request->error);
	rpc_error_clear(&request->error);
	return answer;
}

bool replay_inherited(struct request *request, struct json_object **ret)
{
	const struct owed_answer *owed =
		delivery_inherited_answer(&request->caller->delivery, request->numbered.order);

	if (!owed)
		return false;
	*ret = owed->length > 0 ? answer_with_files(request, owed) : NULL;
	if (!*ret && owed->length > 0)
		delivery_fail(&request->caller->delivery);
	return true;
}
