/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device for who learns what KVM offers, behind a closed gate.
 */
#include <errno.h>
#include <string.h>

#include "client/lib/connection.h"
#include "client/lib/last_error.h"
#include "kernel/kvm/gate.h"
#include "protocol/json.h"

static int close_gate(void)
{
	int r = gate_install_closed();
	const char *obstacle = r < 0 ? gate_obstacle(r) : NULL;

	if (r == 0)
		return 0;
	return last_error_own(r, "no gate can be put up: %s", obstacle ? obstacle : strerror(-r));
}

static int ask(struct gmem *gmem, int *ret_kvm_fd)
{
	struct exchange exchange = {.repeated = false};
	struct json_object *result;
	uint64_t kvm;
	int r = connection_request(gmem, "host.open_kvm", NULL, &exchange, &result);

	if (r < 0)
		return r;
	*ret_kvm_fd =
		json_get_uint(result, "kvm", &kvm) ? fd_list_take(&exchange.received, kvm) : -1;
	json_unref(result);
	fd_list_close(&exchange.received);
	return *ret_kvm_fd < 0 ? -EPROTO : 0;
}

int gmem_open_kvm(struct gmem *gmem, int *ret_kvm_fd)
{
	int r = connection_enter(gmem);

	if (r == 0)
		r = close_gate();
	if (r == 0)
		r = ask(gmem, ret_kvm_fd);
	return last_error_complete(r, "host.open_kvm");
}
