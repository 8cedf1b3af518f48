/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a VM's process gets to work with: the answer to vm.open and to vm.resume.
 */
#include <errno.h>
#include <fcntl.h>

#include "daemon/handler.h"
#include "kernel/cleanup.h"
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
struct vm_files {
	int kvm;
	int mailbox;
};

static void describe_files(
	struct request *request, const struct vm *vm, const struct vm_files *take_files)
{
	struct json_object *mailbox;

	if (!vm->mailbox) {
		json_add_null(request->result, "kvm");
		json_add_null(request->result, "mailbox");
		return;
	}
	request_answer_fd(request, request->result, "kvm", take_files->kvm);
	mailbox = json_add_object(request->result, "mailbox");
	request_answer_fd(request, mailbox, "fd", take_files->mailbox);
	json_add_uint(mailbox, "address", mailbox_address(vm->mailbox));
	json_add_uint(mailbox, "length", mailbox_length(vm->mailbox));
	describe_areas(json_add_array(mailbox, "areas"), vm->mailbox);
}

static int open_files(struct request *request, const struct vm *vm, struct vm_files *ret)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int mailbox;

	if (kvm < 0)
		return rpc_error_kernel(&request->error, errno, "opening /dev/kvm");
	mailbox = fcntl(mailbox_fd(vm->mailbox), F_DUPFD_CLOEXEC, 3);
	if (mailbox < 0)
		return rpc_error_kernel(&request->error, errno, "duplicating the mailbox's fd");
	*ret = (struct vm_files){kvm, mailbox};
	kvm = -1; /* handed over */
	return 0;
}

int request_answer_vm(struct request *request, const struct vm *vm)
{
	struct vm_files files = {-1, -1};
	int r = vm->mailbox ? open_files(request, vm, &files) : 0;

	if (r < 0)
		return r;
	json_add_string(request->result, "vm", vm->id);
	json_add_string(request->result, "uuid", vm->uuid);
	describe_files(request, vm, &files);
	return 0;
}
