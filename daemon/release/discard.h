/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Discards: giving back the half of guest frames that is stale.
 *
 * Where there is anything to give back the page worker does it. Meanwhile the frames are
 * discarding: no conversion touches them, and none of their slots is unbound, so what is stale
 * stays so.
 */
#pragma once

#include "daemon/pages/page_job.h"
#include "daemon/request/request.h"

struct discard {
	struct gmemd *gmemd;
	uint64_t vm; /* its number */
	/* vm: NULL where the VM is no more, or where gmemd ends and the half is still there. The
	 * discard may be freed then. */
	void (*done)(struct discard *discard, struct vm *vm, uint64_t bytes);
	struct guest_range *ranges;
	size_t count;
};

/*
 * Gives back the stale half of these guest frames, which are as state says. gmemd and done are
 * filled in. Returns 0 where it is done, with the bytes of pages in *ret_bytes; REQUEST_DEFERRED
 * where done will be called; -ENOMEM.
 */
int discard_begin(struct discard *discard, struct vm *vm, enum convert_to state,
	const struct guest_range *ranges, size_t count, uint64_t *ret_bytes);

/*
 * The same before the request is carried out. 0 where it is done; REQUEST_DEFERRED, which the
 * handler is to return: the request will be carried out again from its beginning, and then it is
 * done. Else the code of the error that it filled in.
 */
int request_discard(struct request *request, struct vm *vm, enum convert_to state,
	const struct guest_range *ranges, size_t count, uint64_t *ret_bytes);
