/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Labels. See label.h.
 */
#include "daemon/label.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Number, pid, type, gate or none, private or shared, limit, UUID; then the name, which may hold
 * anything. */
#define LABEL_FORMAT "gmemd-mailbox:%" PRIu64 ":%d:%u:%c%c:%" PRIu64 ":%s:%s"
#define LABEL_PARTS  "gmemd-mailbox:%" SCNu64 ":%d:%u:%c%c:%" SCNu64 ":%36[0-9a-f-]:%n"

void label_write(const struct vm *vm, char ret[static MAILBOX_NAME_SIZE])
{
	snprintf(ret, MAILBOX_NAME_SIZE, LABEL_FORMAT, vm->number, vm->process.pid, vm->type,
		vm->gate == VM_GATE_NONE ? 'n' : 'g', vm->initially_private ? 'p' : 's',
		vm->budget.limit, vm->uuid, vm->name);
}

int label_read(int fd, struct label *ret)
{
	char text[MAILBOX_NAME_SIZE], gate, state;
	struct label label;
	int length = 0;

	if (mailbox_name(fd, text, sizeof text) < 0)
		return -EBADMSG;
	if (sscanf(text, LABEL_PARTS, &label.number, &label.pid, &label.type, &gate, &state,
		    &label.commit_limit, label.uuid, &length) != 7 ||
		length == 0 || label.type >= VM_TYPES_MAX)
		return -EBADMSG;
	label.gate = gate == 'g';
	label.initially_private = state == 'p';
	snprintf(label.name, sizeof label.name, "%s", text + length);
	*ret = label;
	return 0;
}
