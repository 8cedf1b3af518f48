/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over connections. See recover_peers.h.
 */
#include "daemon/start/recover_peers.h"

#include "daemon/base/log.h"
#include "daemon/fdstore/inherited_fds.h"
#include "daemon/peer/listener.h"
#include "daemon/peer/quiet_peers.h"
#include "daemon/peer/screening.h"
#include "daemon/request/peer_ledger.h"

void recover_peers(struct gmemd *gmemd)
{
	struct peer_list *peers = listeners_peers(gmemd->listeners);
	struct peer_entry entry;
	uint32_t position = 0;

	if (gmemd->inherited && quiet_peers_new(gmemd, peers, &gmemd->quiet_peers) < 0)
		log_warning("there is no memory to have connections wait");
	while (gmemd->inherited && peer_ledger_next_peer(gmemd->peer_ledger, &position, &entry)) {
		int fd = inherited_fds_take(gmemd->inherited, FDSTORE_PEER, entry.number, 0);

		if (fd < 0)
			peer_ledger_forget(gmemd->peer_ledger, &entry);
		else if (quiet_peers_take(gmemd->quiet_peers, &entry, fd))
			gmemd->recovered.peers++;
		else if (screening_takes(gmemd->screening, &entry, fd))
			continue;
		else if (peer_recover(gmemd, peers, &entry, fd) == 0)
			gmemd->recovered.peers++;
	}
	peers_answer_inherited(peers);
}
