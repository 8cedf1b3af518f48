/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings: what gmemd is told by its command line and its configuration file, or by neither.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DEFAULT_RUNTIME_DIRECTORY "/run/gmemd"

/* With the name of a socket after it, it must fit a socket's address. */
#define RUNTIME_DIRECTORY_MAX 79

enum gate_policy {
	GATE_POLICY_REQUIRED,  /* every VM has a gate */
	GATE_POLICY_PREFERRED, /* a VM may ask to do without */
};

/* Whose peers are that are of no tenant that the files tell of. */
enum others_policy { OTHERS_DEFAULT, OTHERS_REFUSED };

enum backend_choice {
	BACKEND_AUTO, /* kvm, and an error where the host lacks it */
	BACKEND_KVM,
	BACKEND_MODEL,
};

/* A number of bytes, or of percent of the host's memory. */
struct config_amount {
	uint64_t number;
	bool percent;
};

/* Where a setting has its value from. */
enum config_source {
	CONFIG_FROM_DEFAULT,
	CONFIG_FROM_COMMAND_LINE,
	CONFIG_FROM_FILE,
	CONFIG_FROM_EARLIER, /* what the files were before: see config_setting.h's at_start */
};

struct config_origin {
	enum config_source source;
	unsigned file, line; /* of a file: its index in paths */
};

/* Of the files that were read, in their order. */
struct config_paths {
	char **all;
	unsigned count;
};

#define CONFIG_SETTINGS_MAX 40

struct config_tenant;

/* That a tenant names; one that names none has one of no number. */
struct config_user {
	uint32_t uid;
	unsigned tenant; /* its place in their order */
};

#define CONFIG_ANY_USER UINT32_MAX

/* See config_tenant.h. */
struct config_tenants {
	struct config_tenant **all;     /* in their order */
	struct config_tenant **by_name; /* once all were read */
	struct config_user *users; /* likewise: whom any names, by number, then in their order */
	unsigned n_users;
	unsigned count; /* 0: each user is one */
};

struct config {
	char runtime_directory[RUNTIME_DIRECTORY_MAX + 1];
	enum backend_choice backend;
	enum gate_policy gate_policy;
	bool probes; /* whether peers get a device to learn what KVM offers */
	/* Where gmemd makes the sockets itself. */
	mode_t vmm_socket_mode;
	mode_t operator_socket_mode;
	/* What a peer may make gmemd hold. */
	uint64_t peers_per_user;
	uint64_t vms_per_user;
	uint64_t memories_per_user;
	uint64_t preallocations_per_user;
	uint64_t takers_per_owner; /* processes that take files of it, those that hang included */
	uint64_t takers_per_user;
	uint64_t takers_on_host;
	uint64_t memories_per_vm;
	uint64_t closed_memories_per_vm; /* whose files are kept, to count them again */
	uint64_t closed_memories_per_user;
	uint64_t slots_per_vm;
	uint64_t grants_per_vm; /* and who has used them */
	uint64_t private_ranges_per_vm;
	uint64_t own_memory_per_vm; /* bytes */
	uint64_t preallocations_per_vm;
	uint64_t preallocations_on_host;
	uint64_t reservations_on_host;
	bool keeper;           /* whether VMs outlive gmemd, held by gmemd-keeper */
	uint64_t commit_limit; /* bytes on the host; 0: all of its memory */
	/* What may be promised: the host's memory less the reserve, and so many percent more. */
	struct config_amount host_reserve;
	uint64_t overcommit;
	/* Where VMs are asked to give memory back, and for how long; floor 0: they never are. */
	struct config_amount pressure_floor;
	uint64_t pressure_deadline; /* milliseconds */
	uint64_t linger;            /* seconds that memory stays when its VM's process has ended */
	enum others_policy others;
	struct config_tenants tenants;
	struct config_origin origins[CONFIG_SETTINGS_MAX]; /* by config_settings */
	struct config_paths paths;
};

/* It has nothing to clear. */
extern const struct config config_defaults;

/* Frees what was read into it. */
void config_clear(struct config *config);

/* In bytes, on a host with as much memory. */
uint64_t config_bytes(const struct config_amount *amount, uint64_t memory_total);

/* What of so much VMs may be promised; 0 where the reserve leaves nothing. */
uint64_t capacity_of(uint64_t total, uint64_t reserve, uint64_t overcommit);
/* The same of a host with as much memory. */
uint64_t config_capacity(const struct config *config, uint64_t memory_total);
/* What one of its NUMA nodes bears of the host's reserve, by its memory, of which all have so much
 * together. Rounded up, so that nodes never have more than the host. */
uint64_t reserve_of_node(uint64_t reserve, uint64_t node_total, uint64_t all_nodes);
/* What of a node's memory VMs may be promised. */
uint64_t config_node_capacity(const struct config *config, uint64_t memory_total,
	uint64_t node_total, uint64_t all_nodes);

/* What came of a command line. */
enum config_outcome {
	CONFIG_RUN,
	CONFIG_EXIT,   /* --help, --version or --check-config was answered */
	CONFIG_FAULTY, /* --check-config, and stderr says of what */
	CONFIG_WRONG,  /* the command line, and stderr says how */
};
