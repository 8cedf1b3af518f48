/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Releases: giving pages back to the host, at once where they are few, else in the background.
 *
 * What is being released is charged until its pages are gone. Each function returns 0 where that is
 * done, or REQUEST_DEFERRED where the request will be answered when it is; or the code of the error
 * that it filled in, and then nothing has changed.
 */
#pragma once

#include "daemon/request/request.h"

/* Adds "released" to the result. The memory is closed, and its file kept (closed_memory.h). */
int release_memory(struct request *request, struct memory *memory);
/* The same of one that is closed already, and has pages again. */
int release_closed_memory(struct request *request, struct memory *memory);

/* Adds "released" to the result. The VM stays listed. */
int release_vm(struct request *request, struct vm *vm);

/* The same for what a predecessor has released already: it is 0. */
int release_nothing(struct request *request);

/* For nobody's request: the VM's process has ended. The VM is freed, or remains (vm_end()). */
void release_ended_vm(struct gmemd *gmemd, struct vm *vm);

/* What a predecessor was amid: of a released VM, which stays listed, and of a memory. */
void release_rest(struct gmemd *gmemd, struct vm *vm);
void release_closing_memory(struct gmemd *gmemd, struct memory *memory);

/* Adds "reclaimed" and "resident" to the result. The memory stays. */
int release_ranges(struct request *request, struct memory *memory, const struct file_range *ranges,
	size_t count);
