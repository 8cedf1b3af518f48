/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sending to the keeper whatever waits: files first, then what connections are asked for. See
 * fdstore_internal.h.
 */
#include "daemon/fdstore/fdstore_internal.h"

void fdstore_send_all(struct fdstore *fdstore)
{
	if (!fdstore_serves(fdstore) || fdstore_send_urgent(fdstore) < 0 ||
		fdstore_send_rest(fdstore) < 0)
		return;
	fdstore->complete = true;
	fdstore_ask_for_connections(fdstore);
}

void fdstore_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	fdstore_send_all(context);
}

bool fdstore_accept(struct fdstore *fdstore, struct fdstore_acceptance *acceptance)
{
	if (!fdstore || (fdstore->missing && !acceptance->posted))
		return false;
	acceptance->serial = 0;
	acceptance->asked = true;
	TAILQ_INSERT_TAIL(&fdstore->acceptances, acceptance, link);
	fdstore_send_all(fdstore);
	return true;
}
