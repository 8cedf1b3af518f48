/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a request's slots show: whether the caller has mapped memories as it tells.
 *
 * As with files (request_files.h): a handler that needs to know says so when all else that it can
 * check is as it must be, and has changed nothing. The request is deferred and carried out again
 * from its beginning once a taker has looked.
 */
#pragma once

#include "daemon/request/request.h"
#include "kernel/host/file_view.h"

/* 0 where it is known: bit N of request->shown is the Nth view's. REQUEST_DEFERRED, which the
 * handler is to return; or the code of the error that it filled in. The owner's takers look. */
int request_look(
	struct request *request, struct owner *owner, const struct file_view *views, size_t count);
