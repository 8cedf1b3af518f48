/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for what gmemd is to do, as long as it gives signs.
 *
 * Whether a gmemd that doesn't answer is busy with what it was asked or is no more can't be seen
 * from here: its keeper holds the connection open. So after a while another connection asks whether
 * it answers at all, and that is a sign of it.
 */
#pragma once

#include "client/lib/transport.h"

struct awaited {
	int fd;
	short events;     /* as of poll(2) */
	int64_t began;    /* the call that waits */
	int64_t deadline; /* it wants to wait no longer in any case; 0: none */
};

/* Until the file is as awaited. -ETIMEDOUT, and that is the last error, without a sign for too
 * long. Several threads may wait. */
int sign_wait(struct gmem *gmem, const struct awaited *awaited);
