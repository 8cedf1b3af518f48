/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.resume's content: what a VM's process tells of a VM that gmemd has lost. It becomes what other
 * requests could have made, or one error; either way all of it can be given back.
 *
 * An input is the request's parameters, as JSON; each file that they name is a memory's of the size
 * that its name's length says, for a VM's process has such files.
 */
#include <string.h>
#include <unistd.h>

#include "daemon/methods/resume_content.h"
#include "daemon/request/request_files.h"
#include "daemon/vm/memory.h"
#include "protocol/json.h"
#include "tests/fuzz/check_vm.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/private_vm.h"

#define LAST_ID 1000
#define PAGE    4096

/* What a taker would have taken: the right file, another memory's, or none of a memory's. */
static int make_file(const struct resumed_memory *told)
{
	char name[64];
	int fd;

	if (told->fd % 7 == 6)
		return dup(STDERR_FILENO);
	snprintf(name, sizeof name, "gmemd-memory-%llu",
		(unsigned long long)told->memory + (told->fd % 7 == 5));
	FUZZ_CHECK(memory_file_create_memfd(name, PAGE * (uint64_t)(told->fd % 64), &fd) == 0);
	return fd;
}

static void take_files(const struct vm_resume_parameters *parameters, struct request_files *ret)
{
	const struct resumed_memory *told = parameters->memories.items;

	ret->count = parameters->memories.count;
	for (size_t i = 0; i < ret->count; i++)
		ret->fds[i] = make_file(&told[i]);
}

static void resume(struct private_vm *private_vm, const struct vm_resume_parameters *parameters)
{
	int fds[RESUMED_MEMORIES_MAX];
	struct request_files files = {.fds = fds};
	struct request request = {.gmemd = &private_vm->gmemd,
		.caller = &private_vm->caller,
		.parameters = {.vm_resume = *parameters},
		.files = &files};
	int r;

	take_files(parameters, &files);
	r = resume_content(&request, private_vm->vm);
	FUZZ_CHECK(r <= 0 && (int)request.error.code == r);
	FUZZ_CHECK(r == 0 || request.error.message[0]);
	rpc_error_clear(&request.error);
	check_vm(private_vm->vm);
	for (size_t i = 0; i < files.count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void try_parameters(const struct vm_resume_parameters *parameters)
{
	struct private_vm private_vm;

	private_vm_init(&private_vm, &backend_kvm);
	private_vm.gmemd.registry.last_id = private_vm.gmemd.registry.first_id = LAST_ID;
	private_vm.vm->rebuilt = true;
	resume(&private_vm, parameters);
	resume(&private_vm, parameters); /* a packet that was lost on its way is sent again */
	private_vm_end(&private_vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct vm_resume_parameters parameters;
	struct rpc_error error = {.code = RPC_OK};
	int fd = fuzz_free_fd();
	const char *why;
	struct json_object *params = json_parse((const char *)bytes, size, &why);

	if (params && fields_decode(methods[METHOD_VM_RESUME].parameters, params, &parameters,
			      &error) == 0) {
		try_parameters(&parameters);
		fields_release(methods[METHOD_VM_RESUME].parameters, &parameters);
	}
	rpc_error_clear(&error);
	json_unref(params);
	FUZZ_CHECK(fuzz_free_fd() == fd);
	return 0;
}
