/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that go with answers. See answer_files.h.
 */
#include "daemon/request/answer_files.h"

#include <errno.h>
#include <fcntl.h>

#include "kernel/base/cleanup.h"
#include "protocol/json.h"

static void describe_areas(struct json_object *areas, const struct mailbox *mailbox)
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		const struct mailbox_area *area = mailbox_area(mailbox, command);
		struct json_object *object = json_append_object(areas);

		json_add_uint(object, "request", area->request);
		json_add_uint(object, "address", area->address);
		json_add_uint(object, "length", area->length);
		json_add_uint(object, "stride", area->stride);
	}
}

/* The device and the mailbox, each opened for this VM alone. */
enum { FILE_KVM, FILE_MAILBOX, VM_FILES };

static void describe_files(struct request *request, const struct vm *vm)
{
	struct json_object *mailbox;

	if (!vm->mailbox) {
		json_add_null(request->result, "kvm");
		json_add_null(request->result, "mailbox");
		return;
	}
	json_add_uint(request->result, "kvm", FILE_KVM);
	mailbox = json_add_object(request->result, "mailbox");
	json_add_uint(mailbox, "fd", FILE_MAILBOX);
	json_add_uint(mailbox, "address", mailbox_address(vm->mailbox));
	json_add_uint(mailbox, "length", mailbox_length(vm->mailbox));
	describe_areas(json_add_array(mailbox, "areas"), vm->mailbox);
}

static int open_device(struct request *request)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		rpc_error_kernel(&request->error, errno, "opening /dev/kvm");
	return kvm;
}

int request_take_device(struct request *request)
{
	int kvm = open_device(request);

	if (kvm < 0)
		return request->error.code;
	request->answer_fds.fds[request->answer_fds.count++] = kvm;
	return 0;
}

int request_take_vm_files(struct request *request, const struct vm *vm)
{
	struct fd_list *fds = &request->answer_fds;
	cleanup_fd int kvm = -1;
	int mailbox;

	if (!vm || !vm->mailbox)
		return rpc_error_gone(&request->error, "vm", vm ? vm->id : "");
	kvm = open_device(request);
	if (kvm < 0)
		return request->error.code;
	mailbox = mailbox_take_fd(vm->mailbox);
	if (mailbox < 0)
		return rpc_error_kernel(&request->error, errno, "opening the mailbox for reading");
	*fds = (struct fd_list){.count = VM_FILES, .fds = {kvm, mailbox}};
	kvm = -1; /* handed over */
	request->numbered.files = OWED_VM_FILES;
	request->numbered.object = vm->number;
	return 0;
}

int request_answer_vm(struct request *request, const struct vm *vm)
{
	int r = vm->mailbox ? request_take_vm_files(request, vm) : 0;

	if (r < 0)
		return r;
	json_add_string(request->result, "vm", vm->id);
	json_add_string(request->result, "uuid", vm->uuid);
	describe_files(request, vm);
	return 0;
}

int request_take_memory_file(struct request *request, const struct memory *memory)
{
	int fd;

	if (!memory || memory->fd < 0)
		return rpc_error_gone_number(&request->error, "memory", memory ? memory->id : 0);
	fd = fcntl(memory->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return rpc_error_kernel(&request->error, errno, "duplicating the memory's fd");
	request->answer_fds.fds[request->answer_fds.count++] = fd;
	request->numbered.files = OWED_MEMORY_FILE;
	request->numbered.object = memory->id;
	return 0;
}
