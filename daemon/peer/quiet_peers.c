/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quiet peers. See quiet_peers.h.
 */
#include "daemon/peer/quiet_peers.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/kill_step.h"
#include "daemon/peer/screening.h"
#include "daemon/request/peer_ledger.h"
#include "kernel/base/cleanup.h"

/* Less than a turn of gmemd's own takes. */
#define SOME 4

/* What else there is of it is in the ledger of peers. */
struct quiet_peer {
	uint32_t record;
	int fd;
};

struct quiet_peers {
	struct gmemd *gmemd;
	struct peer_list *list;
	struct quiet_peer *all;
	size_t count, room;
	size_t next; /* to be recovered */
};

int quiet_peers_new(struct gmemd *gmemd, struct peer_list *list, struct quiet_peers **ret)
{
	struct quiet_peers *quiet = calloc(1, sizeof *quiet);

	if (!quiet)
		return -ENOMEM;
	quiet->gmemd = gmemd;
	quiet->list = list;
	*ret = quiet;
	return 0;
}

struct quiet_peers *quiet_peers_free(struct quiet_peers *quiet)
{
	if (!quiet)
		return NULL;
	while (quiet->next < quiet->count)
		fd_close(quiet->all[quiet->next++].fd);
	free(quiet->all);
	free(quiet);
	return NULL;
}

/* An operator's may be what somebody waits for; and whose it is must be known without asking. */
static bool is_quiet(const struct peer_ledger *ledger, const struct peer_entry *entry)
{
	const struct syscall_marks *marks = peer_ledger_marks(ledger);

	return entry->access != ACCESS_OPERATOR && entry->owned && !entry->subscribed &&
	       marks->received.peer != entry->number && marks->sent.peer != entry->number &&
	       !peer_ledger_owes(ledger, entry->number);
}

static int make_room(struct quiet_peers *quiet)
{
	size_t room = 2 * quiet->room + 64;
	struct quiet_peer *all;

	if (quiet->count < quiet->room)
		return 0;
	all = reallocarray(quiet->all, room, sizeof *all);
	if (!all)
		return -ENOMEM;
	quiet->all = all;
	quiet->room = room;
	return 0;
}

bool quiet_peers_take(struct quiet_peers *quiet, const struct peer_entry *entry, int consume_fd)
{
	if (!quiet || !is_quiet(quiet->gmemd->peer_ledger, entry) || make_room(quiet) < 0)
		return false;
	quiet->all[quiet->count++] = (struct quiet_peer){entry->record, consume_fd};
	return true;
}

static void recover(struct quiet_peers *quiet, const struct quiet_peer *peer)
{
	struct gmemd *gmemd = quiet->gmemd;
	uint32_t position = peer->record;
	struct peer_entry entry;

	STEP("recovery of a quiet connection");
	if (!peer_ledger_next_peer(gmemd->peer_ledger, &position, &entry) ||
		entry.record != peer->record)
		fd_close(peer->fd);
	else if (!screening_takes(gmemd->screening, &entry, peer->fd) &&
		 peer_recover(gmemd, quiet->list, &entry, peer->fd) == 0)
		return;
	gmemd->recovered.peers--; /* it is none any more */
}

/* No limit refuses what a predecessor has let in; while all else is taken over, none refuses. */
static void recover_up_to(struct quiet_peers *quiet, size_t end)
{
	struct owners *owners = quiet->gmemd->owners;

	owners_lift_limits(owners, true);
	while (quiet->next < end)
		recover(quiet, &quiet->all[quiet->next++]);
	owners_lift_limits(owners, quiet->gmemd->inherited);
}

bool quiet_peers_recover_some(struct quiet_peers *quiet)
{
	if (!quiet_peers_any(quiet))
		return false;
	recover_up_to(quiet, quiet->next + SOME < quiet->count ? quiet->next + SOME : quiet->count);
	return quiet_peers_any(quiet);
}

void quiet_peers_recover_all(struct quiet_peers *quiet)
{
	if (quiet_peers_any(quiet))
		recover_up_to(quiet, quiet->count);
}

bool quiet_peers_any(const struct quiet_peers *quiet)
{
	return quiet && quiet->next < quiet->count;
}
