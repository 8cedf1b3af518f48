/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections that the keeper accepts for gmemd. See fdstore.h and fdstore_internal.h.
 */
#include <errno.h>

#include "daemon/fdstore/fdstore_internal.h"

/* What finding another keeper takes, mostly. */
#define REPLACEMENT_MS 500

void fdstore_ask_for_connections(struct fdstore *fdstore)
{
	struct fdstore_acceptance *acceptance;

	TAILQ_FOREACH (acceptance, &fdstore->acceptances, link) {
		const struct keeper_id ids[] = {acceptance->listener, acceptance->connection};
		int r = 0;

		if (acceptance->serial == 0)
			r = fdstore_post(
				fdstore, KEEPER_ACCEPT, 0, ids, NULL, 2, &acceptance->serial);
		if (r < 0) {
			fdstore_wait_for_room(fdstore, r);
			return;
		}
		acceptance->posted = true;
	}
}

void fdstore_take_connection(struct fdstore *fdstore, struct keeper_packet *answer)
{
	const struct keeper_header *header = &answer->message.header;
	struct fdstore_acceptance *acceptance;
	int *came = &answer->came.fds[0];
	int fd = -1, r = header->result;

	TAILQ_FOREACH (acceptance, &fdstore->acceptances, link) {
		if (acceptance->serial == header->serial)
			break;
	}
	if (!acceptance)
		return; /* cancelled */
	TAILQ_REMOVE(&fdstore->acceptances, acceptance, link);
	acceptance->asked = false;
	if (r == 0 && fdstore_table_adopt(&fdstore->table, &acceptance->connection, *came) < 0)
		r = -EMFILE;
	if (r == 0) {
		fd = *came;
		*came = -1; /* handed over */
	}
	acceptance->accepted(acceptance, r, fd);
}

void fdstore_accept_cancel(struct fdstore *fdstore, struct fdstore_acceptance *acceptance)
{
	if (acceptance->asked)
		TAILQ_REMOVE(&fdstore->acceptances, acceptance, link);
	acceptance->asked = false;
}

unsigned fdstore_patience(const struct fdstore *fdstore)
{
	return fdstore->complete ? STALLED_MS : REPLACEMENT_MS;
}

void fdstore_ask_anew(struct fdstore *fdstore)
{
	struct fdstore_acceptance *acceptance;

	TAILQ_FOREACH (acceptance, &fdstore->acceptances, link)
		acceptance->serial = 0;
}

void fdstore_refuse_all(struct fdstore *fdstore)
{
	struct fdstore_acceptance *acceptance, *next;

	TAILQ_FOREACH_SAFE (acceptance, &fdstore->acceptances, link, next) {
		if (acceptance->posted)
			continue;
		fdstore_accept_cancel(fdstore, acceptance);
		acceptance->accepted(acceptance, -ENOENT, -1);
	}
}
