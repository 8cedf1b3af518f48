/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of libvirt's: with its test driver in this process, or in a libvirtd.
 */
#include <errno.h>
#include <libvirt/libvirt.h>

#include "tests/bench/report/client.h"

static int libvirt_prepare(const char *address, const char *request)
{
	(void)address;
	(void)request;
	return virInitialize() < 0 ? -EIO : 0;
}

static int libvirt_connect(
	const char *address, const char *request, unsigned number, void **ret_client)
{
	virConnectPtr connection = virConnectOpen(address);

	(void)request;
	(void)number;
	if (connection)
		*ret_client = virDomainLookupByName(connection, "test");
	return *ret_client ? 0 : -EIO;
}

static int libvirt_exchange(void *client)
{
	virDomainInfo info;

	return virDomainGetInfo(client, &info) < 0 ? -EIO : 0;
}

static void libvirt_disconnect(void *client)
{
	virConnectPtr connection = virDomainGetConnect(client);

	virDomainFree(client);
	virConnectClose(connection);
}

const struct client_kind client_libvirt = {
	"libvirt", libvirt_prepare, libvirt_connect, libvirt_exchange, libvirt_disconnect};
