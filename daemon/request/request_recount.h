/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests for memory beside what was closed: that is counted first, so that nothing is admitted on
 * the word of who has closed it.
 *
 * It need not be counted where all of it would fit, whether it is there or not. Else the request is
 * deferred and carried out again from its beginning, as in request_files.h. Whatever is filled
 * after that is found by the next count, and nothing more is admitted then.
 */
#pragma once

#include "daemon/request/request.h"

/* 0 where so many bytes may be charged to the VM by what was counted, or can't be anyway.
 * REQUEST_DEFERRED, which the handler is to return; or the code of the error that it filled in. */
int request_recount(struct request *request, struct vm *vm, uint64_t bytes);
