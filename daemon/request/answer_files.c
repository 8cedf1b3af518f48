/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that go with answers. See answer_files.h.
 */
#include "daemon/request/answer_files.h"

#include <errno.h>
#include <fcntl.h>

#include "kernel/kvm/report_page.h"
#include "protocol/json.h"

static void describe_areas(struct json_object *areas)
{
	for (unsigned command = 0; command < MAILBOX_COMMANDS; command++) {
		const struct mailbox_area area = mailbox_area(command);
		struct json_object *object = json_append_object(areas);

		json_add_uint(object, "request", area.request);
		json_add_uint(object, "address", area.address);
		json_add_uint(object, "length", area.length);
		json_add_uint(object, "stride", area.stride);
	}
}

/* The device and the mailbox, each opened for this VM alone, and its report page. */
enum { FILE_KVM, FILE_MAILBOX, FILE_REPORT_PAGE };

static void describe_report_page(struct request *request, const struct vm *vm)
{
	struct json_object *report;

	if (!vm->report_page) {
		json_add_null(request->result, "report");
		return;
	}
	report = json_add_object(request->result, "report");
	json_add_uint(report, "fd", FILE_REPORT_PAGE);
	json_add_uint(report, "length", report_page_length());
}

static void describe_files(struct request *request, const struct vm *vm)
{
	struct json_object *mailbox;

	if (!vm->mailbox) {
		json_add_null(request->result, "kvm");
		json_add_null(request->result, "mailbox");
		json_add_null(request->result, "report");
		return;
	}
	json_add_uint(request->result, "kvm", FILE_KVM);
	mailbox = json_add_object(request->result, "mailbox");
	json_add_uint(mailbox, "fd", FILE_MAILBOX);
	json_add_uint(mailbox, "address", mailbox_address(vm->mailbox));
	json_add_uint(mailbox, "length", mailbox_length(vm->mailbox));
	describe_areas(json_add_array(mailbox, "areas"));
	describe_report_page(request, vm);
}

/* Has a file go with the answer; where there is none errno says why what has failed. */
static int add_file(struct request *request, int take_fd, const char *what)
{
	struct fd_list *fds = &request->answer_fds;

	if (take_fd < 0)
		return rpc_error_kernel(&request->error, errno, what);
	fds->fds[fds->count++] = take_fd;
	return 0;
}

int request_take_device(struct request *request)
{
	return add_file(request, open("/dev/kvm", O_RDWR | O_CLOEXEC), "opening /dev/kvm");
}

static int add_vm_files(struct request *request, const struct vm *vm)
{
	int r = request_take_device(request);

	if (r == 0)
		r = add_file(
			request, mailbox_take_fd(vm->mailbox), "opening the mailbox for reading");
	if (r == 0 && vm->report_page)
		r = add_file(request, fcntl(report_page_fd(vm->report_page), F_DUPFD_CLOEXEC, 3),
			"duplicating the report page's fd");
	return r;
}

int request_take_vm_files(struct request *request, const struct vm *vm)
{
	int r;

	if (!vm || !vm->mailbox)
		return rpc_error_gone(&request->error, "vm", vm ? vm->id : "");
	r = add_vm_files(request, vm);
	if (r < 0) {
		fd_list_close(&request->answer_fds);
		return r;
	}
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
	int r;

	if (!memory || memory->fd < 0)
		return rpc_error_gone_number(&request->error, "memory", memory ? memory->id : 0);
	r = add_file(request, fcntl(memory->fd, F_DUPFD_CLOEXEC, 3), "duplicating the memory's fd");
	if (r < 0)
		return r;
	request->numbered.files = OWED_MEMORY_FILE;
	request->numbered.object = memory->id;
	return 0;
}
