/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Labels: what a mailbox's own name says of the VM that it was made for.
 *
 * A gmemd that knows nothing of a VM any more believes the mailbox that the VM's process still has:
 * gmemd alone can have made it, a memfd's name never changes, and it says whose the VM is, what it
 * may be, and how much memory it may have. Which tenant it is of can change, and so does
 * the generation of its calls: these are noted within the mailbox, where gmemd alone can write.
 */
#pragma once

#include <sys/types.h>

#include "daemon/tenant/tenant.h"
#include "daemon/vm/vm.h"
#include "protocol/methods.h"

struct label {
	uint64_t number;  /* the VM's */
	uint64_t process; /* its identity */
	uid_t uid;        /* that it was opened for */
	unsigned type;
	bool gate;
	bool initially_private;
	uint64_t commit_limit;
	char uuid[37];
	char name[NAME_BYTES_MAX + 1];
	bool has_tenant; /* an older gmemd has noted none */
	char tenant[TENANT_NAME_SIZE];
	uint32_t generation; /* of the calls that it had last; 0: an older gmemd has noted none */
};

/* The name for the VM's mailbox. All that it says must be set. */
void mailbox_label_write(const struct vm *vm, char ret[static MAILBOX_NAME_SIZE]);
/* Notes the VM's tenant in its mailbox, if it has one, and that is not noted there already.
 * -ENOMEM where its mailbox isn't mapped, and can't be. */
int mailbox_label_note_tenant(const struct vm *vm);
/* The label of a mailbox, by any fd of it. -EBADMSG where that is no mailbox of gmemd's. */
int mailbox_label_read(int fd, struct label *ret);
