/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a resumed VM has: its memories, slots and private ranges, as its process tells of them in
 * vm.resume.
 */
#pragma once

#include "daemon/request/request.h"

/* The file of one of the memories that the request names. */
struct file_wish resume_memory_wish(const struct vm_resume_parameters *parameters, size_t index);

/* Compares memories that gmemd knows, and adds those that it doesn't; to a VM that was rebuilt its
 * slots and private ranges, too; its memories' files were taken, as the last ones. Fills in the
 * request's error where something is not as it can be; what was added until then stays. */
int resume_content(struct request *request, struct vm *vm);
