/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of handlers. See methods.h.
 */
#include "daemon/methods/methods.h"

handler *const method_handlers[METHODS] = {
	[METHOD_PING] = handle_ping,
	[METHOD_HOST_DESCRIBE] = handle_host_describe,
	[METHOD_HOST_OPEN_KVM] = handle_host_open_kvm,
	[METHOD_RPC_DISCOVER] = handle_rpc_discover,
	[METHOD_VM_OPEN] = handle_vm_open,
	[METHOD_VM_GATE] = handle_vm_gate,
	[METHOD_VM_RESUME] = handle_vm_resume,
	[METHOD_VM_LIST] = handle_vm_list,
	[METHOD_VM_GET] = handle_vm_get,
	[METHOD_VM_CLOSE] = handle_vm_close,
	[METHOD_VM_SET] = handle_vm_set,
	[METHOD_MEMORY_CREATE] = handle_memory_create,
	[METHOD_MEMORY_OPEN] = handle_memory_open,
	[METHOD_MEMORY_CLOSE] = handle_memory_close,
	[METHOD_MEMORY_RECLAIM] = handle_memory_reclaim,
	[METHOD_MEMORY_PREALLOCATE] = handle_memory_preallocate,
	[METHOD_MEMORY_CANCEL] = handle_memory_cancel,
	[METHOD_SLOT_BIND] = handle_slot_bind,
	[METHOD_SLOT_UNBIND] = handle_slot_unbind,
	[METHOD_SLOT_CHANGE] = handle_slot_change,
	[METHOD_MEMORY_CONVERT] = handle_memory_convert,
	[METHOD_CALL_DONE] = handle_call_done,
	[METHOD_EVENT_SUBSCRIBE] = handle_event_subscribe,
	[METHOD_METRICS_GET] = handle_metrics_get,
	[METHOD_MEMORY_GRANT] = handle_memory_grant,
	[METHOD_CONFIG_GET] = handle_config_get,
	[METHOD_CONFIG_RELOAD] = handle_config_reload,
	[METHOD_TENANT_LIST] = handle_tenant_list,
	[METHOD_TENANT_GET] = handle_tenant_get,
	[METHOD_RESERVATION_CREATE] = handle_reservation_create,
	[METHOD_RESERVATION_LIST] = handle_reservation_list,
	[METHOD_RESERVATION_CANCEL] = handle_reservation_cancel,
	[METHOD_TENANT_SET] = handle_tenant_set,
	[METHOD_NODE_LIST] = handle_node_list,
	[METHOD_MEMORY_RESIDENCY] = handle_memory_residency,
	[METHOD_HOST_PROFILE] = handle_host_profile,
};
