/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Labels. See mailbox_label.h.
 */
#include "daemon/vm/mailbox_label.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Number, process and user, type, gate or none, private or shared, limit, UUID, by the shortest
 * numbers, for a memfd's name is short; then the VM's name, which may hold anything. */
#define LABEL_FORMAT "gmemd-mailbox:%" PRIx64 ":%" PRIx64 ":%x:%x:%c%c:%" PRIx64 ":%s:%s"
#define LABEL_PARTS  "gmemd-mailbox:%" SCNx64 ":%" SCNx64 ":%x:%x:%c%c:%" SCNx64 ":%36[0-9a-f-]:%n"

void mailbox_label_write(const struct vm *vm, char ret[static MAILBOX_NAME_SIZE])
{
	snprintf(ret, MAILBOX_NAME_SIZE, LABEL_FORMAT, vm->number, vm->process.identity,
		vm->process.uid, vm->type, vm->gate == VM_GATE_NONE ? 'n' : 'g',
		vm->initially_private ? 'p' : 's', vm->budget.limit, vm->uuid, vm->name);
}

_Static_assert(TENANT_NAME_SIZE <= MAILBOX_NOTE_SIZE, "a note");

int mailbox_label_note_tenant(const struct vm *vm)
{
	char note[MAILBOX_NOTE_SIZE];

	if (!vm->mailbox ||
		(mailbox_note(vm->mailbox, note) == 0 && strcmp(note, vm->tenant->name) == 0))
		return 0;
	return mailbox_write_note(vm->mailbox, vm->tenant->name);
}

static void read_tenant(int fd, struct label *label)
{
	char note[MAILBOX_NOTE_SIZE];

	label->has_tenant = mailbox_read_note(fd, note) == 0 && strlen(note) <= TENANT_NAME_MAX;
	if (label->has_tenant)
		strcpy(label->tenant, note);
}

int mailbox_label_read(int fd, struct label *ret)
{
	char text[MAILBOX_NAME_SIZE], gate, state;
	struct label label = {.has_tenant = false};
	int length = 0;

	if (mailbox_name(fd, text, sizeof text) < 0)
		return -EBADMSG;
	if (sscanf(text, LABEL_PARTS, &label.number, &label.process, &label.uid, &label.type, &gate,
		    &state, &label.commit_limit, label.uuid, &length) != 8 ||
		length == 0 || label.type >= VM_TYPES_MAX)
		return -EBADMSG;
	label.gate = gate == 'g';
	label.initially_private = state == 'p';
	snprintf(label.name, sizeof label.name, "%s", text + length);
	read_tenant(fd, &label);
	label.generation = mailbox_read_generation(fd);
	*ret = label;
	return 0;
}
