/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that go with answers: a VM's device, mailbox and report page, and a memory's file.
 */
#pragma once

#include "daemon/request/request.h"

/* Adds what its process works with to the result: its ids and these files of its. */
int request_answer_vm(struct request *request, const struct vm *vm);
/* The files alone. vm may be NULL: then it is gone. */
int request_take_vm_files(struct request *request, const struct vm *vm);
/* Has a device go with the answer that is no VM's. */
int request_take_device(struct request *request);
/* Has a memory's file go with the answer; memory may be NULL. */
int request_take_memory_file(struct request *request, const struct memory *memory);
