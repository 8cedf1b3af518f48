/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods: one table that says of each who may call it, what it takes, what it answers and how
 * it fails.
 *
 * What checks requests, what rpc.discover answers, the reference and gmemctl's help are all made
 * from it. The daemon has a handler for each, by its number.
 */
#pragma once

#include "protocol/error.h"
#include "protocol/field.h"

/* The version of the wire contract, in host.describe. */
#define PROTOCOL_VERSION 2

#define NAME_BYTES_MAX 128

/* Characters of a uuid, to tell one by how it begins. */
#define UUID_PREFIX_MIN 4

/* Of one request: a packet holds fewer. */
#define RANGES_MAX           2048
#define RESUMED_MEMORIES_MAX 16
#define SLOTS_MAX            512
/* Of a memory, by memory.residency. */
#define RESIDENCY_PARTS_MAX 1024
/* As many entries as a mailbox has for them. */
#define SLOT_CHANGES_MAX 16
/* Of a reservation: 30 days. */
#define MACHINE_BYTES_MAX  31 /* of the beginning of a machine's name */
#define RESERVATION_MS_MAX ((uint64_t)30 * 24 * 3600 * 1000)

enum method_number {
	METHOD_PING,
	METHOD_HOST_DESCRIBE,
	METHOD_HOST_OPEN_KVM,
	METHOD_RPC_DISCOVER,
	METHOD_VM_OPEN,
	METHOD_VM_GATE,
	METHOD_VM_RESUME,
	METHOD_VM_LIST,
	METHOD_VM_GET,
	METHOD_VM_CLOSE,
	METHOD_VM_SET,
	METHOD_MEMORY_CREATE,
	METHOD_MEMORY_OPEN,
	METHOD_MEMORY_CLOSE,
	METHOD_MEMORY_RECLAIM,
	METHOD_MEMORY_PREALLOCATE,
	METHOD_MEMORY_CANCEL,
	METHOD_SLOT_BIND,
	METHOD_SLOT_UNBIND,
	METHOD_SLOT_CHANGE,
	METHOD_MEMORY_CONVERT,
	METHOD_CALL_DONE,
	METHOD_EVENT_SUBSCRIBE,
	METHOD_METRICS_GET,
	METHOD_MEMORY_GRANT,
	METHOD_CONFIG_GET,
	METHOD_CONFIG_RELOAD,
	METHOD_TENANT_LIST,
	METHOD_TENANT_GET,
	METHOD_RESERVATION_CREATE,
	METHOD_RESERVATION_LIST,
	METHOD_RESERVATION_CANCEL,
	METHOD_TENANT_SET,
	METHOD_NODE_LIST,
	METHOD_MEMORY_RESIDENCY,
	METHOD_HOST_PROFILE,
	METHODS
};

/* Which socket's peers may call it. */
enum method_access {
	ACCESS_VMM = 1 << 0,      /* gmemd.sock, for the peer's own VM */
	ACCESS_OPERATOR = 1 << 1, /* admin.sock, for any */
};

struct method {
	const char *name;
	unsigned access;
	const struct field *parameters;
	const struct field *result;
	const enum rpc_code *errors; /* besides those that any method can give; ends with RPC_OK */
	const char *summary;
};

/* What several results have, by the name that a field's .shared refers to; the last has none. */
struct shared_schema {
	const char *name;
	const struct field *fields;
};
extern const struct shared_schema shared_schemas[];

extern const struct method methods[METHODS];

/* NULL where there is none. */
const struct method *method_by_name(const char *name);

/* Values of enum and flags fields, in the order of their names. */
enum profile_action { PROFILE_BEGIN, PROFILE_READ, PROFILE_END };

enum vm_gate_wanted { GATE_WANTED_REQUIRED, GATE_WANTED_NONE };
enum vm_initial_state { INITIAL_STATE_SHARED, INITIAL_STATE_PRIVATE };
enum vm_charge { CHARGE_VM, CHARGE_BROKER };
enum memory_backing { BACKING_GUEST_MEMFD, BACKING_MEMFD };
enum memory_flags { MEMORY_MMAP = 1 << 0, MEMORY_INIT_SHARED = 1 << 1 };
enum config_source_name { SOURCE_DEFAULT, SOURCE_COMMAND_LINE, SOURCE_FILE, SOURCE_EARLIER };
enum convert_to { CONVERT_TO_SHARED, CONVERT_TO_PRIVATE };
enum slot_through { THROUGH_GUEST_MEMFD, THROUGH_MAPPING };
enum slot_flags { SLOT_READONLY = 1 << 0, SLOT_LOG_DIRTY_PAGES = 1 << 1 };

extern const char *const backing_names[];
extern const char *const memory_flag_names[];
extern const char *const slot_flag_names[];
extern const char *const slot_through_names[];
extern const char *const pressure_level_names[];
extern const char *const keeper_state_names[];
extern const char *const config_source_names[];
extern const char *const convert_to_names[];
/* What gmemd does for a request, in that order: see daemon/base/stage.h. */
extern const char *const stage_names[];

/* What each method's parameters are decoded into. Members are as in the table. */
struct vm_open_parameters {
	const char *name;
	const char *uuid;
	const char *type;
	uint64_t commit_limit;
	uint64_t initial_state;
	uint64_t gate;
	uint64_t charge;
	uint64_t minimum;
	const char *reservation; /* NULL: none */
};

struct vm_gate_parameters {
	const char *vm;
	int listener;
};

/* Of memories. */
struct resumed_memory {
	uint64_t memory;
	int fd;
	const char *name;
	uint64_t flags;
};

struct vm_resume_parameters {
	const char *vm;
	int mailbox;
	struct field_array memories;       /* of struct resumed_memory */
	struct field_array slots;          /* of struct slot_bind_parameters */
	struct field_array private_ranges; /* of struct guest_range */
	struct field_array uncertain_ranges;
};

struct vm_list_parameters {
	const char *cursor;
	uint64_t limit;
	const char *named;
};

struct rpc_discover_parameters {
	const char *method;
};

struct vm_get_parameters {
	const char *vm;
	const char *cursor;
};

struct vm_set_parameters {
	const char *vm;
	uint64_t minimum;      /* FIELD_UNSET: as it was */
	uint64_t commit_limit; /* the same */
	const char *tenant;    /* NULL: the same */
};

struct vm_close_parameters {
	const char *vm;
};

struct memory_create_parameters {
	const char *vm;
	uint64_t size;
	const char *name;
	uint64_t backing;
	uint64_t flags;
	uint64_t node;
	uint64_t page_size; /* 0: the host's own pages */
};

/* Of memory.open and memory.close. */
struct memory_parameters {
	uint64_t memory;
};

/* One of these; the others are FIELD_UNSET, the pidfd -1. */
struct memory_grant_to {
	uint64_t uid;
	uint64_t pid;
	int pidfd;
};

struct memory_grant_parameters {
	uint64_t memory;
	struct field_array to; /* of struct memory_grant_to: one */
	uint64_t once;
};

/* Of a memory's file. */
struct file_range {
	uint64_t offset;
	uint64_t size;
};

struct memory_reclaim_parameters {
	uint64_t memory;
	struct field_array ranges; /* of struct file_range */
};

struct memory_preallocate_parameters {
	uint64_t memory;
	uint64_t offset;
	uint64_t size;    /* FIELD_UNSET: to the end */
	uint64_t threads; /* FIELD_UNSET: as many as the node has cores */
	uint64_t populate;
	const char *token;
};

struct memory_cancel_parameters {
	const char *token;
};

struct slot_bind_parameters {
	const char *vm;
	uint64_t slot;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	uint64_t memory; /* FIELD_UNSET: none */
	uint64_t guest_memfd_offset;
	uint64_t guest_memfd;
	uint64_t shared_memory;
	uint64_t shared_offset;
	uint64_t flags;
	uint64_t through; /* enum slot_through; of one with a memory */
};

struct slot_unbind_parameters {
	const char *vm;
	uint64_t slot;
};

/* One of the two. */
struct slot_change_item {
	uint64_t unbind;         /* FIELD_UNSET: none */
	struct field_array bind; /* of struct slot_bind_parameters: none, or one */
};

struct slot_change_parameters {
	const char *vm;
	struct field_array changes; /* of struct slot_change_item */
};

/* Of ranges. */
struct guest_range {
	uint64_t guest_phys_addr;
	uint64_t size;
};

struct memory_convert_parameters {
	const char *vm;
	uint64_t to;               /* enum convert_to */
	struct field_array ranges; /* of struct guest_range */
	uint64_t discard;
};

struct call_done_parameters {
	const char *vm;
	uint64_t call;
	uint64_t done;
	const char *errno_name;
	int fd;
	uint64_t waited_ms;
};

struct tenant_list_parameters {
	const char *cursor;
	uint64_t limit;
};

struct tenant_get_parameters {
	const char *tenant;
};

struct tenant_set_parameters {
	const char *tenant;
	uint64_t limit;   /* FIELD_UNSET: as it was */
	uint64_t reserve; /* the same */
};

struct config_get_parameters {
	const char *cursor;
};

struct reservation_create_parameters {
	const char *name;
	uint64_t size;
	const char *tenant;  /* NULL: nobody in particular */
	const char *machine; /* NULL: of none */
	uint64_t node;
	uint64_t ttl_ms;
};

struct reservation_list_parameters {
	const char *cursor;
};

struct reservation_cancel_parameters {
	const char *reservation;
};

struct memory_residency_parameters {
	uint64_t memory;
	uint64_t parts;
};

struct node_list_parameters {
	const char *cursor;
};

struct host_profile_parameters {
	uint64_t action; /* enum profile_action */
};

union method_parameters {
	struct host_profile_parameters host_profile;
	struct node_list_parameters node_list;
	struct memory_residency_parameters memory_residency;
	struct config_get_parameters config_get;
	struct tenant_list_parameters tenant_list;
	struct tenant_get_parameters tenant_get;
	struct reservation_create_parameters reservation_create;
	struct reservation_list_parameters reservation_list;
	struct reservation_cancel_parameters reservation_cancel;
	struct tenant_set_parameters tenant_set;
	struct rpc_discover_parameters rpc_discover;
	struct vm_open_parameters vm_open;
	struct vm_gate_parameters vm_gate;
	struct vm_resume_parameters vm_resume;
	struct vm_list_parameters vm_list;
	struct vm_get_parameters vm_get;
	struct vm_close_parameters vm_close;
	struct vm_set_parameters vm_set;
	struct memory_create_parameters memory_create;
	struct memory_parameters memory;
	struct memory_grant_parameters memory_grant;
	struct memory_reclaim_parameters memory_reclaim;
	struct memory_preallocate_parameters memory_preallocate;
	struct memory_cancel_parameters memory_cancel;
	struct slot_bind_parameters slot_bind;
	struct slot_unbind_parameters slot_unbind;
	struct slot_change_parameters slot_change;
	struct memory_convert_parameters memory_convert;
	struct call_done_parameters call_done;
};

/* The whole table as an OpenRPC document, brief enough for a packet; or one method of it alone,
 * with all there is to say. The caller owns it. */
struct json_object *openrpc_document(const char *version, const struct method *only);
