/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handlers: the function that carries out each method.
 */
#pragma once

#include "daemon/request/request.h"

handler handle_ping;
handler handle_host_describe;
handler handle_host_open_kvm;
handler handle_host_profile;
handler handle_rpc_discover;
handler handle_vm_open;
handler handle_vm_gate;
handler handle_vm_resume;
handler handle_vm_list;
handler handle_vm_get;
handler handle_vm_close;
handler handle_vm_set;
handler handle_memory_create;
handler handle_memory_open;
handler handle_memory_close;
handler handle_memory_reclaim;
handler handle_memory_preallocate;
handler handle_memory_cancel;
handler handle_slot_bind;
handler handle_slot_unbind;
handler handle_slot_change;
handler handle_memory_convert;
handler handle_call_done;
handler handle_event_subscribe;
handler handle_metrics_get;
handler handle_memory_grant;
handler handle_config_get;
handler handle_config_reload;
handler handle_tenant_list;
handler handle_tenant_get;
handler handle_reservation_create;
handler handle_reservation_list;
handler handle_reservation_cancel;
handler handle_tenant_set;
handler handle_node_list;
handler handle_memory_residency;

/* By enum method_number. */
extern handler *const method_handlers[METHODS];
