/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel as back end: gmemd writes the arguments, the VMM's own process issues the ioctl.
 */
#include <errno.h>

#include "daemon/vm/backend.h"
#include "daemon/vm/call.h"
#include "daemon/vm/mailbox_label.h"
#include "daemon/vm/vm_held.h"
#include "kernel/kvm/report_page.h"

static int kvm_open(struct vm *vm)
{
	enum mailbox_writers writers =
		vm->registry->fdstore ? MAILBOX_WRITER_SUCCESSORS : MAILBOX_WRITER_ALONE;
	char name[MAILBOX_NAME_SIZE];
	int r;

	mailbox_label_write(vm, name);
	r = mailbox_new(name, writers, &vm->mailbox);
	if (r == 0 && writers == MAILBOX_WRITER_SUCCESSORS)
		vm_fix_mailbox(vm);
	return r < 0 ? r : report_page_new(&vm->report_page);
}

static void kvm_close(struct vm *vm)
{
	vm->mailbox = mailbox_free(vm->mailbox);
	vm->report_page = report_page_free(vm->report_page);
}

static void write_entry(const struct call *call, unsigned index)
{
	struct mailbox *mailbox = call->vm->mailbox;
	unsigned entry = call->entry + index;
	union call_arguments arguments;

	call_arguments(call, index, &arguments);
	switch (call_command(call)) {
	case MAILBOX_CREATE:
		mailbox_write_create(mailbox, entry, &arguments.create);
		break;
	case MAILBOX_SLOT:
		mailbox_write_slot(mailbox, entry, &arguments.region);
		break;
	case MAILBOX_ATTRIBUTES:
		mailbox_write_attributes(mailbox, entry, &arguments.attributes);
		break;
	case MAILBOX_COMMANDS:
		break;
	}
}

/* Of a change all of them, or none. */
static int take_entries(struct call *call, struct mailbox *mailbox, enum mailbox_command command)
{
	int r;

	if (call->kind == CALL_CHANGE) {
		r = mailbox_take_all(mailbox, command, call->count, &call->entry);
		return r == -ENOSPC ? -E2BIG : r;
	}
	r = mailbox_take(mailbox, command, call->count, &call->entry);
	if (r > 0)
		call->count = (unsigned)r;
	return r < 0 ? r : 0;
}

static int kvm_submit(struct call *call)
{
	struct mailbox *mailbox = call->vm->mailbox;
	enum mailbox_command command = call_command(call);
	int r;

	if (mailbox_free_entries(mailbox, command) < call->count)
		return -EBUSY;
	r = take_entries(call, mailbox, command);
	if (r < 0)
		return r;
	mailbox_note_generation(mailbox, call->vm->generation);
	for (unsigned index = 0; index < call->count; index++)
		write_entry(call, index);
	return CALL_SUBMITTED;
}

static void kvm_withdraw(struct call *call)
{
	mailbox_put(call->vm->mailbox, call_command(call), call->entry, call->count);
}

const struct backend backend_kvm = {
	.name = "kvm",
	.needs_gate = true,
	.open = kvm_open,
	.close = kvm_close,
	.submit = kvm_submit,
	.withdraw = kvm_withdraw,
};
