/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients of gmemd and of what a user would otherwise have, for one program that loads any of them
 * alike. A client is one connection, used by one thread.
 */
#pragma once

/* Functions return 0 or a negative errno. */
struct client_kind {
	const char *name;
	/* Before any client; NULL where there is nothing to do. */
	int (*prepare)(const char *address, const char *request);
	/* The client of that number. *ret_client is NULL already. */
	int (*connect)(
		const char *address, const char *request, unsigned number, void **ret_client);
	/* One request and its whole answer. */
	int (*exchange)(void *client);
	void (*disconnect)(void *client);
};

/* SEQPACKET with a JSON-RPC request of these bytes; files that come with an answer are closed. */
extern const struct client_kind client_packet;
/* The same to a gmemd, on a VM with 2 memories and 64 slots: request is vm.get or memory.open. */
extern const struct client_kind client_vm;
/* Packets of ping's sizes between two processes, without anything else; with a file each. */
extern const struct client_kind client_bare;
extern const struct client_kind client_bare_file;
/* org.freedesktop.DBus.Peer.Ping of the bus at this path. */
extern const struct client_kind client_dbus;
/* QMP's query-status, of one monitor for each client: address with a number behind it. */
extern const struct client_kind client_qmp;
/* virDomainGetInfo of domain "test", of this URI. */
extern const struct client_kind client_libvirt;
