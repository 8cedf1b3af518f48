/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of methods. See methods.h.
 */
#include "protocol/methods.h"

#include <string.h>

#include "protocol/acts.h"

/* The largest offset that a file can have, and the largest address of a guest: whole pages of
 * either size below. */
#define BYTES_MAX ((uint64_t)INT64_MAX & ~(uint64_t)0xffff)
/* struct kvm_userspace_memory_region2: memory_size is less than 2^31 pages (KVM_MEM_MAX_NR_PAGES)
 * of 4 KiB. */
#define SLOT_BYTES_MAX   ((uint64_t)0x7fffffff << 12)
#define USER_ADDRESS_MAX ((uint64_t)0x7ffffffff000)
#define FD_NUMBER_MAX    INT32_MAX
/* What x86 has besides pages of 4 KiB. */
#define HUGE_PAGE_MIN ((uint64_t)2 << 20)
#define HUGE_PAGE_MAX ((uint64_t)1 << 30)

#define AT(type, member) .offset = offsetof(struct type, member)
#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

static const char *const vm_state_names[] = {"opening", "running", "lingering", "released", NULL};
static const char *const gate_state_names[] = {"none", "pending", "active", "lost", NULL};
static const char *const memory_state_names[] = {"pending", "ready", "closing", NULL};
static const char *const slot_state_names[] = {"pending", "bound", "closing", NULL};
static const char *const gate_wanted_names[] = {"required", "none", NULL};
static const char *const initial_state_names[] = {"shared", "private", NULL};
static const char *const charge_names[] = {"vm", "broker", NULL};
static const char *const backend_names[] = {"kvm", "model", NULL};
const char *const backing_names[] = {"guest_memfd", "memfd", NULL};
const char *const memory_flag_names[] = {"mmap", "init_shared", NULL};
const char *const slot_flag_names[] = {"readonly", "log_dirty_pages", NULL};
const char *const slot_through_names[] = {"guest_memfd", "mapping", NULL};
const char *const pressure_level_names[] = {"none", "low", "medium", "critical", NULL};
const char *const keeper_state_names[] = {"held", "stalled", "gone", NULL};
const char *const config_source_names[] = {"default", "command_line", "file", "earlier", NULL};
const char *const convert_to_names[] = {"shared", "private", NULL};
const char *const stage_names[] = {
	"receive", "parse", "check", "act", "record", "keep", "answer", NULL};
static const char *const profile_action_names[] = {"begin", "read", "end", NULL};

/* Parts of results */

#define VM_ID     "The VM's id."
#define MEMORY_ID "The memory's id, unique until reboot."

#define CALL_SCHEMA "call"

static const struct field call_fields[] = {
	{"id", FIELD_INTEGER, .summary = "For call.done."},
	{"request", FIELD_INTEGER, .summary = "The ioctl's command."},
	{"address", FIELD_INTEGER, .summary = "Of the first entry, in the VMM."},
	{"stride", FIELD_INTEGER, .summary = "Bytes from an entry to the next."},
	{"count", FIELD_INTEGER, .summary = "How many entries to trigger, in order."},
	{"report", FIELD_INTEGER, FIELD_NULLABLE,
		.summary = "Byte offset of its words in the report page; null where it has none."},
	END,
};

#define CALL_FIELD                                                                                 \
	{                                                                                          \
		"call", FIELD_OBJECT, FIELD_NULLABLE,                                              \
			.fields = call_fields, .shared = CALL_SCHEMA,                              \
			.summary = "What the VMM must trigger and report; null where the work is " \
				   "done."                                                         \
	}

static const struct field vm_type_fields[] = {
	{"name", FIELD_STRING, .summary = "For vm.open's type."},
	{"type", FIELD_INTEGER, .summary = "KVM_CREATE_VM's argument."},
	{"guest_memfd", FIELD_BOOLEAN, .summary = "KVM_CAP_GUEST_MEMFD."},
	{"guest_memfd_flags", FIELD_FLAGS, .names = memory_flag_names,
		.summary = "KVM_CAP_GUEST_MEMFD_FLAGS."},
	{"memory_attributes", FIELD_INTEGER, .summary = "KVM_CAP_MEMORY_ATTRIBUTES."},
	{"converts_in_place", FIELD_BOOLEAN,
		.summary = "Its private memory is converted by an ioctl on the guest_memfd, after "
			   "Linux 7.3, which gmemd does not do."},
	{"memslots", FIELD_INTEGER, .summary = "KVM_CAP_NR_MEMSLOTS."},
	{"pre_fault_memory", FIELD_BOOLEAN, .summary = "KVM_CAP_PRE_FAULT_MEMORY."},
	END,
};

static const struct field kernel_fields[] = {
	{"release", FIELD_STRING, .summary = "As uname -r."},
	{"guest_memfd", FIELD_BOOLEAN, .summary = "Whether VMs of the default type have it."},
	{"guest_memfd_flags", FIELD_FLAGS, .names = memory_flag_names,
		.summary = "What a VM of the default type offers."},
	{"memory_attributes", FIELD_INTEGER, .summary = "KVM_CAP_MEMORY_ATTRIBUTES of any type."},
	{"vm_types", FIELD_ARRAY, .fields = vm_type_fields, .summary = "What can be made."},
	{"pre_fault_memory", FIELD_BOOLEAN, .summary = "KVM_CAP_PRE_FAULT_MEMORY."},
	END,
};

static const struct field gate_fields[] = {
	{"available", FIELD_BOOLEAN, .summary = "Whether this kernel can hold a gate."},
	{"reason", FIELD_STRING, FIELD_OPTIONAL, .summary = "Why not."},
	END,
};

static const struct field limit_fields[] = {
	{"packet_bytes", FIELD_INTEGER, .summary = "A packet's length at most."},
	{"packet_fds", FIELD_INTEGER, .summary = "A packet's file descriptors at most."},
	{"batch_requests", FIELD_INTEGER, .summary = "Requests in a batch at most."},
	{"peers_per_user", FIELD_INTEGER, .summary = "Connections of one user at most."},
	{"vms_per_user", FIELD_INTEGER, .summary = "VMs of one user at most."},
	{"memories_per_vm", FIELD_INTEGER, .summary = "Memories of one VM at most."},
	{"closed_memories_per_vm", FIELD_INTEGER,
		.summary = "Closed memories of one VM that are counted again, at most."},
	{"closed_memories_per_user", FIELD_INTEGER, .summary = "The same of one user."},
	{"grants_per_vm", FIELD_INTEGER,
		.summary = "Grants and holders of one VM's memories at most."},
	{"slots_per_vm", FIELD_INTEGER, .summary = "Slots of one VM at most."},
	{"private_ranges_per_vm", FIELD_INTEGER,
		.summary = "Ranges that the private memory of one VM is in, at most."},
	{"own_memory_bytes_per_vm", FIELD_INTEGER,
		.summary = "Bytes of slots on a VMM's own memory, for each VM at most."},
	{"takers_per_owner", FIELD_INTEGER,
		.summary = "Processes that take files for one VM or unit, at most."},
	{"takers_per_user", FIELD_INTEGER, .summary = "For one user at most."},
	{"takers_on_host", FIELD_INTEGER, .summary = "For all at most."},
	{"reservations_on_host", FIELD_INTEGER, .summary = "Reservations of all at most."},
	{"commit_bytes", FIELD_INTEGER,
		.summary = "Bytes committed or promised on the host at most."},
	END,
};

static const struct field pressure_ask_fields[] = {
	{"vm", FIELD_STRING, .summary = VM_ID},
	{"asked", FIELD_INTEGER, .summary = "Bytes, when it was last asked."},
	{"given", FIELD_INTEGER, .summary = "Bytes that it has given back since."},
	{"overdue", FIELD_BOOLEAN,
		.summary = "Whether it has missed a deadline, and owes some still."},
	END,
};

static const struct field pressure_fields[] = {
	{"level", FIELD_ENUM, .names = pressure_level_names, .summary = "How bad it is."},
	{"available", FIELD_INTEGER, FIELD_OPTIONAL,
		.summary = "MemAvailable, in bytes. This and what follows is for operators."},
	{"floor", FIELD_INTEGER, FIELD_OPTIONAL,
		.summary = "Bytes below which there is pressure; 0: there never is."},
	{"vms_asked", FIELD_INTEGER, FIELD_OPTIONAL,
		.summary = "How many have been asked for memory since there is pressure."},
	{"vms_overdue", FIELD_INTEGER, FIELD_OPTIONAL, .summary = "How many of them are overdue."},
	{"asks", FIELD_ARRAY, FIELD_OPTIONAL, .fields = pressure_ask_fields,
		.summary = "Of VMs that were asked, the overdue ones first, as many as a packet "
			   "holds."},
	END,
};

static const struct field commitment_fields[] = {
	{"limit", FIELD_INTEGER, .summary = "Bytes committed or promised on the host at most."},
	{"committed", FIELD_INTEGER, .summary = "Bytes charged for memories."},
	{"promised", FIELD_INTEGER,
		.summary = "Bytes promised to VMs and reservations, whether charged yet or not."},
	{"reserved", FIELD_INTEGER, .summary = "Bytes of them that reservations have."},
	{"available", FIELD_INTEGER, .summary = "Bytes that would still fit."},
	END,
};

static const struct field keeper_fields[] = {
	{"state", FIELD_ENUM, .names = keeper_state_names,
		.summary = "held: the keeper has all that is to outlive gmemd; stalled: it doesn't "
			   "answer, and may have requests refused; gone: there is none, or it "
			   "hasn't got all yet."},
	{"version", FIELD_STRING, FIELD_OPTIONAL, .summary = "The last keeper's."},
	{"uptime", FIELD_INTEGER, FIELD_OPTIONAL, .summary = "Seconds since it was started."},
	{"held", FIELD_INTEGER, .summary = "gmemd's files that it holds, as far as is known."},
	END,
};

static const struct field recovered_fields[] = {
	{"vms", FIELD_INTEGER, .summary = "VMs."},
	{"memories", FIELD_INTEGER, .summary = "Their memories."},
	{"connections", FIELD_INTEGER, .summary = "Connections."},
	{"released", FIELD_INTEGER, .summary = "VMs whose process had ended."},
	{"dropped", FIELD_INTEGER, .summary = "Files that belonged to nothing."},
	END,
};

static const struct field area_fields[] = {
	{"request", FIELD_INTEGER, .summary = "The ioctl whose arguments are in this area."},
	{"address", FIELD_INTEGER, .summary = "Where it begins in the VMM."},
	{"length", FIELD_INTEGER, .summary = "Bytes: whole pages."},
	{"stride", FIELD_INTEGER, .summary = "Bytes from an entry to the next."},
	END,
};

static const struct field mailbox_fields[] = {
	{"fd", FIELD_FD, .summary = "To be mapped read-only, shared, and sealed."},
	{"address", FIELD_INTEGER, .summary = "Where to map it."},
	{"length", FIELD_INTEGER, .summary = "Bytes to map."},
	{"areas", FIELD_ARRAY, .fields = area_fields,
		.summary = "What a gate must let through: pointers to the start of an entry."},
	END,
};

static const struct field report_page_fields[] = {
	{"fd", FIELD_FD, .summary = "To be mapped writable, shared."},
	{"length", FIELD_INTEGER, .summary = "Bytes to map."},
	END,
};

#define VM_FIELDS                                                                                  \
	{"vm", FIELD_STRING, .summary = VM_ID},                                                    \
		{"name", FIELD_STRING, .summary = "As it was opened."},                            \
		{"uuid", FIELD_UUID, .summary = "As it was opened, or gmemd's choice."},           \
		{"tenant", FIELD_STRING, .summary = "Whose it is."},                               \
		{"unit", FIELD_STRING, FIELD_NULLABLE,                                             \
			.summary = "Systemd's that its process was in when it connected; null "    \
				   "where no systemd runs."},                                      \
		{"pid", FIELD_INTEGER, .summary = "The VMM's process."},                           \
		{"state", FIELD_ENUM, .names = vm_state_names,                                     \
			.summary =                                                                 \
				"opening until its VM is made; without a gate, until its "         \
				"first call is done. lingering: its process has ended, and its "   \
				"memory is still there, as gmemd.conf's linger says."},            \
		{"lingers_ms", FIELD_INTEGER, FIELD_OPTIONAL,                                      \
			.summary = "Milliseconds that it may linger on."},                         \
		{"gate", FIELD_ENUM, .names = gate_state_names,                                    \
			.summary = "active once the VM was made behind it; lost where its "        \
				   "listener is gone and nothing can be created any more."},       \
		{"committed", FIELD_INTEGER, .summary = "Bytes charged."},                         \
		{"promised", FIELD_INTEGER,                                                        \
			.summary =                                                                 \
				"Bytes that no other VM can have: its commit limit; 0 where it "   \
				"was opened without."},                                            \
		{"resident", FIELD_INTEGER,                                                        \
			.summary = "Bytes of pages allocated, in memory or swapped out."},         \
		{"closed_resident", FIELD_INTEGER,                                                 \
			.summary = "Bytes of pages in closed memories, which are charged."},       \
		{"private", FIELD_INTEGER, .summary = "Bytes of guest memory that are private."},  \
	{                                                                                          \
		"opened", FIELD_INTEGER, FIELD_NULLABLE,                                           \
			.summary = "When it was, or was rebuilt: CLOCK_REALTIME, in "              \
				   "microseconds; null: by a gmemd that didn't keep it."           \
	}

static const struct field vm_fields[] = {VM_FIELDS, END};

static const struct field memory_fields[] = {
	{"memory", FIELD_INTEGER, .summary = MEMORY_ID},
	{"name", FIELD_STRING, FIELD_NULLABLE, .summary = "As it was created."},
	{"size", FIELD_INTEGER, .summary = "Bytes."},
	{"backing", FIELD_ENUM, .names = backing_names, .summary = "What kind of file it is."},
	{"flags", FIELD_FLAGS, .names = memory_flag_names, .summary = "As it was created."},
	{"node", FIELD_INTEGER, FIELD_NULLABLE, .summary = "The NUMA node it was asked for."},
	{"page_size", FIELD_INTEGER,
		.summary = "Bytes: what its offsets and sizes are multiples of."},
	{"state", FIELD_ENUM, .names = memory_state_names,
		.summary = "pending until its creation is reported."},
	{"resident", FIELD_INTEGER,
		.summary = "Bytes of pages allocated, in memory or swapped out."},
	END,
};

static const struct field closed_memory_fields[] = {
	{"memory", FIELD_INTEGER, .summary = "Its id, for memory.close."},
	{"name", FIELD_STRING, FIELD_NULLABLE, .summary = "As it was created."},
	{"size", FIELD_INTEGER, .summary = "Bytes."},
	{"resident", FIELD_INTEGER, .summary = "Bytes of pages, which are charged."},
	END,
};

static const struct field slot_fields[] = {
	{"slot", FIELD_INTEGER, .summary = "The memslot's number; address space in bits 16 to 31."},
	{"guest_phys_addr", FIELD_INTEGER, .summary = "In the guest."},
	{"memory_size", FIELD_INTEGER, .summary = "Bytes."},
	{"userspace_addr", FIELD_INTEGER, .summary = "In the VMM."},
	{"memory", FIELD_INTEGER, FIELD_NULLABLE, .summary = "Its id; null: the VMM's own memory."},
	{"guest_memfd_offset", FIELD_INTEGER, .summary = "Bytes into it."},
	{"shared_memory", FIELD_INTEGER, FIELD_OPTIONAL, .summary = "What backs the shared half."},
	{"shared_offset", FIELD_INTEGER, FIELD_OPTIONAL, .summary = "Bytes into it."},
	{"flags", FIELD_FLAGS, .names = slot_flag_names, .summary = "As it was bound."},
	{"through", FIELD_ENUM, FIELD_OPTIONAL, .names = slot_through_names,
		.summary =
			"Of one with a memory: whether it is bound to the guest_memfd itself, or "
			"to the VMM's mapping of the memory at userspace_addr."},
	{"astray", FIELD_BOOLEAN, FIELD_OPTIONAL,
		.summary =
			"true where the mapping was found not to show the memory any more: since "
			"then the slot counts as the VMM's own memory."},
	{"state", FIELD_ENUM, .names = slot_state_names,
		.summary = "pending or closing until its change is reported. Where several are "
			   "changed at once, a number may be there twice: as what it was, and as "
			   "what it is to be."},
	END,
};

static const struct field range_fields[] = {
	{"guest_phys_addr", FIELD_INTEGER, FIELD_PAGES, .max = BYTES_MAX,
		AT(guest_range, guest_phys_addr), .summary = "Bytes."},
	{"size", FIELD_INTEGER, FIELD_PAGES, .min = 1, .max = BYTES_MAX, AT(guest_range, size),
		.summary = "Bytes."},
	END,
};

/* Methods */

#define VM_PARAMETER(type)                                                                         \
	{                                                                                          \
		"vm", FIELD_STRING, .min = 1, .max = NAME_BYTES_MAX, AT(type, vm),                 \
				    .summary = VM_ID                                               \
	}

static const struct field no_fields[] = {END};

static const struct field host_describe_result[] = {
	{"version", FIELD_STRING, .summary = "gmemd's."},
	{"protocol", FIELD_INTEGER, .summary = "The wire contract's version."},
	{"backend", FIELD_ENUM, .names = backend_names, .summary = "What memory is made by."},
	{"page_size", FIELD_INTEGER, .summary = "Bytes."},
	{"kernel", FIELD_OBJECT, .fields = kernel_fields, .summary = "What the kernel offers."},
	{"gate", FIELD_OBJECT, .fields = gate_fields, .summary = "Whether there can be one."},
	{"limits", FIELD_OBJECT, .fields = limit_fields, .summary = "What a peer may hold."},
	{"pressure", FIELD_OBJECT, .fields = pressure_fields,
		.summary = "Whether the host is short of memory."},
	{"commitment", FIELD_OBJECT, FIELD_OPTIONAL, .fields = commitment_fields,
		.summary = "What the host's memory is committed to. For operators."},
	{"uptime", FIELD_INTEGER, .summary = "Seconds since gmemd was started."},
	{"keeper", FIELD_OBJECT, FIELD_NULLABLE, .fields = keeper_fields,
		.summary =
			"What holds the files that are to outlive gmemd; null where nothing does."},
	{"recovered", FIELD_OBJECT, .fields = recovered_fields,
		.summary = "What gmemd has taken over at its start."},
	END,
};

static const struct field host_open_kvm_result[] = {
	{"kvm", FIELD_FD, .summary = "/dev/kvm, for a process that makes no VM with memory."},
	END,
};

static const struct field rpc_discover_parameters[] = {
	{"method", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = NAME_BYTES_MAX,
		AT(rpc_discover_parameters, method),
		.summary = "This one alone, and what its answer and the events have in words too. "
			   "Without it: all methods, in a packet's room."},
	END,
};

static const struct field rpc_discover_result[] = {
	{"openrpc", FIELD_STRING, .summary = "The version of the description's format."},
	{"info", FIELD_ANY, .summary = "Title and version."},
	{"methods", FIELD_ARRAY, .summary = "One for each method."},
	{"x-events", FIELD_ANY, .summary = "The notification \"event\": its parameters and kinds."},
	{"x-progress", FIELD_ANY, .summary = "The notification \"progress\": its parameters."},
	{"components", FIELD_ANY, .summary = "Errors and schemas, for reference by methods."},
	END,
};

static const struct field vm_open_parameters[] = {
	{"name", FIELD_STRING, .min = 1, .max = NAME_BYTES_MAX, AT(vm_open_parameters, name),
		.summary = "For people; a tenant has one VM of a name."},
	{"uuid", FIELD_UUID, FIELD_OPTIONAL, AT(vm_open_parameters, uuid),
		.summary = "gmemd makes one where it is absent."},
	{"type", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 32, .default_string = "default",
		AT(vm_open_parameters, type),
		.summary = "Of host.describe's kernel.vm_types, by name or number."},
	{"commit_limit", FIELD_INTEGER, FIELD_OPTIONAL, .min = 1, .max = INT64_MAX,
		.default_value = FIELD_UNSET, AT(vm_open_parameters, commit_limit),
		.summary = "Bytes that may be committed to it, and that no other VM can have "
			   "while it is there. By default it is promised none and may have what "
			   "the host has left."},
	{"initial_state", FIELD_ENUM, FIELD_OPTIONAL, .names = initial_state_names,
		AT(vm_open_parameters, initial_state), .summary = "Of memory that is newly bound."},
	{"gate", FIELD_ENUM, FIELD_OPTIONAL, .names = gate_wanted_names,
		AT(vm_open_parameters, gate),
		.summary = "none is permitted only where gmemd's policy is \"preferred\"."},
	{"charge", FIELD_ENUM, FIELD_OPTIONAL, .names = charge_names,
		AT(vm_open_parameters, charge),
		.summary = "Whose memory cgroup is charged for what gmemd allocates for it."},
	{"minimum", FIELD_INTEGER, FIELD_OPTIONAL, .max = INT64_MAX,
		AT(vm_open_parameters, minimum),
		.summary =
			"Bytes of pages that it can't do without: under pressure it is asked for "
			"what it has beyond them. vm.set changes it."},
	{"reservation", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = NAME_BYTES_MAX,
		AT(vm_open_parameters, reservation),
		.summary = "reservation.create's id, or, of one that was made for the caller's "
			   "tenant, its name. It becomes the VM's promise, and its size the "
			   "commit_limit, which can be less, but not more."},
	END,
};

#define VM_OPENED_FIELDS                                                                           \
	{"vm", FIELD_STRING, .summary = VM_ID},                                                    \
		{"uuid", FIELD_UUID, .summary = "As given, or gmemd's choice."},                   \
		{"kvm", FIELD_FD, FIELD_NULLABLE, .summary = "/dev/kvm, to make the VM with."},    \
		{"mailbox", FIELD_OBJECT, FIELD_NULLABLE, .fields = mailbox_fields,                \
			.summary = "Where gmemd writes the arguments of the VM's ioctls."},        \
	{                                                                                          \
		"report", FIELD_OBJECT, FIELD_NULLABLE,                                            \
			.fields = report_page_fields,                                              \
			.summary = "Where the VMM may report calls, in the place of call.done."    \
	}

static const struct field vm_open_result[] = {VM_OPENED_FIELDS, END};

static const struct field vm_gate_parameters[] = {
	VM_PARAMETER(vm_gate_parameters),
	{"listener", FIELD_FD, AT(vm_gate_parameters, listener),
		.summary = "The listener of the seccomp filter round the VMM."},
	END,
};

/* Of slot.bind, and of what vm.resume tells. */
#define SLOT_PARAMETERS                                                                            \
	{"slot", FIELD_INTEGER, .max = UINT32_MAX, AT(slot_bind_parameters, slot),                 \
		.summary = "The memslot's number; address space in bits 16 to 31."},               \
		{"guest_phys_addr", FIELD_INTEGER, FIELD_PAGES, .max = BYTES_MAX,                  \
			AT(slot_bind_parameters, guest_phys_addr), .summary = "Bytes."},           \
		{"memory_size", FIELD_INTEGER, FIELD_PAGES, .min = 1, .max = SLOT_BYTES_MAX,       \
			AT(slot_bind_parameters, memory_size), .summary = "Bytes."},               \
		{"userspace_addr", FIELD_INTEGER, FIELD_PAGES, .max = USER_ADDRESS_MAX,            \
			AT(slot_bind_parameters, userspace_addr),                                  \
			.summary = "In the VMM; nothing need be mapped there."},                   \
		{"memory", FIELD_INTEGER, FIELD_NULLABLE, .max = INT64_MAX,                        \
			AT(slot_bind_parameters, memory),                                          \
			.summary = "Null: the VMM's own at userspace_addr, such as a ROM."},       \
		{"guest_memfd_offset", FIELD_INTEGER, FIELD_PAGES | FIELD_OPTIONAL,                \
			.max = BYTES_MAX, AT(slot_bind_parameters, guest_memfd_offset),            \
			.summary = "Bytes into the memory."},                                      \
		{"shared_memory", FIELD_INTEGER, FIELD_OPTIONAL | FIELD_NULLABLE,                  \
			.max = INT64_MAX, .default_value = FIELD_UNSET,                            \
			AT(slot_bind_parameters, shared_memory),                                   \
			.summary = "The shared half, where private memory needs a second."},       \
		{"shared_offset", FIELD_INTEGER, FIELD_PAGES | FIELD_OPTIONAL, .max = BYTES_MAX,   \
			AT(slot_bind_parameters, shared_offset), .summary = "Bytes into it."},     \
		{"flags", FIELD_FLAGS, FIELD_OPTIONAL, .names = slot_flag_names,                   \
			AT(slot_bind_parameters, flags),                                           \
			.summary = "Without a memory, or through a mapping. Of such a slot that "  \
				   "is told again with other flags alone they change in place; "   \
				   "readonly can't."},                                             \
	{                                                                                          \
		"through", FIELD_ENUM, FIELD_OPTIONAL,                                             \
			.names = slot_through_names, AT(slot_bind_parameters, through),            \
			.summary = "mapping: a slot on userspace_addr alone, where the VMM has "   \
				   "that memory mapped, shared, from guest_memfd_offset on. It "   \
				   "is charged as that memory and may overlap with its other "     \
				   "slots."                                                        \
	}

static const struct field resumed_memory_fields[] = {
	{"memory", FIELD_INTEGER, .min = 1, .max = INT64_MAX, AT(resumed_memory, memory),
		.summary = MEMORY_ID},
	{"fd", FIELD_FD, AT(resumed_memory, fd), .summary = "Its file."},
	{"name", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = NAME_BYTES_MAX,
		AT(resumed_memory, name), .summary = "As it was created."},
	{"flags", FIELD_FLAGS, FIELD_OPTIONAL, .names = memory_flag_names,
		.default_value = FIELD_UNSET, AT(resumed_memory, flags),
		.summary = "As it was created; by default what the VM's type offers."},
	END,
};

static const struct field resumed_slot_fields[] = {SLOT_PARAMETERS, END};

static const struct field vm_resume_parameters[] = {
	VM_PARAMETER(vm_resume_parameters),
	{"mailbox", FIELD_FD, FIELD_OPTIONAL, AT(vm_resume_parameters, mailbox),
		.summary = "vm.open's. It proves whose the VM is to a gmemd that has lost it."},
	{"memories", FIELD_ARRAY, FIELD_OPTIONAL, .fields = resumed_memory_fields,
		.item_size = sizeof(struct resumed_memory), .max = RESUMED_MEMORIES_MAX,
		AT(vm_resume_parameters, memories),
		.summary = "Those whose files the process has. Of a VM that was rebuilt, what does "
			   "not fit one packet follows."},
	{"slots", FIELD_ARRAY, FIELD_OPTIONAL, .fields = resumed_slot_fields,
		.item_size = sizeof(struct slot_bind_parameters), .max = SLOTS_MAX,
		AT(vm_resume_parameters, slots),
		.summary = "What is bound, of a VM that is rebuilt."},
	{"private_ranges", FIELD_ARRAY, FIELD_OPTIONAL, .fields = range_fields,
		.item_size = sizeof(struct guest_range), .max = RANGES_MAX,
		AT(vm_resume_parameters, private_ranges),
		.summary = "What is private, of a VM that is rebuilt."},
	{"uncertain_ranges", FIELD_ARRAY, FIELD_OPTIONAL, .fields = range_fields,
		.item_size = sizeof(struct guest_range), .max = RANGES_MAX,
		AT(vm_resume_parameters, uncertain_ranges),
		.summary = "What may be either, for the process was amid its conversion: the next "
			   "memory.convert there sets it anew, whatever private_ranges says."},
	END,
};

static const struct field vm_resume_result[] = {
	VM_OPENED_FIELDS,
	{"rebuilt", FIELD_BOOLEAN, .summary = "Whether gmemd knows the VM from its process alone."},
	END,
};

static const struct field vm_list_parameters[] = {
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 64,
		AT(vm_list_parameters, cursor), .summary = "Of an answer: what follows it."},
	{"limit", FIELD_INTEGER, FIELD_OPTIONAL, .min = 1, .max = 100, .default_value = 100,
		AT(vm_list_parameters, limit), .summary = "How many at most."},
	{"named", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = NAME_BYTES_MAX,
		AT(vm_list_parameters, named),
		.summary = "Those of that name alone, and those whose uuid begins so, with 4 "
			   "characters or more."},
	END,
};

static const struct field vm_list_result[] = {
	{"vms", FIELD_ARRAY, .fields = vm_fields, .summary = "In the order they were opened."},
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .summary = "Where there are more."},
	END,
};

static const struct field vm_get_parameters[] = {
	VM_PARAMETER(vm_get_parameters),
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 64, AT(vm_get_parameters, cursor),
		.summary = "Of an answer: what follows it."},
	END,
};

static const struct field grant_fields[] = {
	{"grant", FIELD_INTEGER, .summary = "Its id."},
	{"memory", FIELD_INTEGER, .summary = MEMORY_ID},
	{"uid", FIELD_INTEGER, FIELD_OPTIONAL, .summary = "Any process of this user may."},
	{"pid", FIELD_INTEGER, FIELD_OPTIONAL,
		.summary = "This process may; 0 where gmemd can't see it."},
	{"once", FIELD_BOOLEAN, .summary = "Whether it ends when the memory is opened."},
	END,
};

static const struct field holder_fields[] = {
	{"memory", FIELD_INTEGER, .summary = MEMORY_ID},
	{"grant", FIELD_INTEGER, .summary = "By which it was opened."},
	{"pid", FIELD_INTEGER, .summary = "The process that has; 0 where gmemd can't see it."},
	{"uid", FIELD_INTEGER, .summary = "Its user then."},
	{"ended", FIELD_BOOLEAN,
		.summary = "Whether the process has; it may have passed the file on."},
	{"closed", FIELD_BOOLEAN, .summary = "Whether the memory is."},
	{"resident", FIELD_INTEGER, .summary = "Bytes of the memory's pages."},
	END,
};

static const struct field vm_get_result[] = {
	VM_FIELDS,
	{"minimum", FIELD_INTEGER,
		.summary = "Bytes that it can't give back under pressure, as it has told."},
	{"memories", FIELD_ARRAY, .fields = memory_fields, .summary = "By id."},
	{"slots", FIELD_ARRAY, .fields = slot_fields, .summary = "By number."},
	{"private_ranges", FIELD_ARRAY, .fields = range_fields,
		.summary = "By address, merged; all else is shared."},
	{"uncertain_ranges", FIELD_ARRAY, .fields = range_fields,
		.summary = "As vm.resume told them, until they are converted."},
	{"calls", FIELD_ARRAY, .fields = call_fields, .shared = CALL_SCHEMA,
		.summary = "Not yet reported, by id."},
	{"closed_memories", FIELD_ARRAY, .fields = closed_memory_fields,
		.summary = "Those that have pages, by id."},
	{"grants", FIELD_ARRAY, .fields = grant_fields,
		.summary = "Who else may open a memory, by memory.grant."},
	{"holders", FIELD_ARRAY, .fields = holder_fields,
		.summary = "Who has opened one by a grant, and may hold its file; closed memories' "
			   "too."},
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .summary = "Where there are more."},
	END,
};

static const struct field vm_close_parameters[] = {
	VM_PARAMETER(vm_close_parameters),
	END,
};

static const struct field vm_set_parameters[] = {
	VM_PARAMETER(vm_set_parameters),
	{"minimum", FIELD_INTEGER, FIELD_OPTIONAL, .max = INT64_MAX, .default_value = FIELD_UNSET,
		AT(vm_set_parameters, minimum),
		.summary = "As vm.open's, from now on; told by the VM itself. By default it stays "
			   "what "
			   "it was."},
	{"commit_limit", FIELD_INTEGER, FIELD_OPTIONAL, .min = 1, .max = INT64_MAX,
		.default_value = FIELD_UNSET, AT(vm_set_parameters, commit_limit),
		.summary = "As vm.open's, from now on, and promised as that is; set by operators. "
			   "What "
			   "the VM has beyond it stays, and it gets no more."},
	{"tenant", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 42, AT(vm_set_parameters, tenant),
		.summary =
			"Whose it is from now on: its promise, its memories, what gmemd holds for "
			"its process, its turns. Set by operators; refused where the tenant has "
			"no room for it, or its policy allows no such VM."},
	END,
};

static const struct field released_result[] = {
	{"released", FIELD_INTEGER, .summary = "Bytes of pages given back to the host."},
	END,
};

static const struct field memory_create_parameters[] = {
	VM_PARAMETER(memory_create_parameters),
	{"size", FIELD_INTEGER, FIELD_PAGES, .min = 1, .max = BYTES_MAX,
		AT(memory_create_parameters, size), .summary = "Bytes."},
	{"name", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = NAME_BYTES_MAX,
		AT(memory_create_parameters, name),
		.summary = "For people; a VM has one memory of a name."},
	{"backing", FIELD_ENUM, FIELD_OPTIONAL, .names = backing_names,
		AT(memory_create_parameters, backing), .summary = "What kind of file."},
	{"flags", FIELD_FLAGS, FIELD_OPTIONAL, .names = memory_flag_names,
		.default_value = FIELD_UNSET, AT(memory_create_parameters, flags),
		.summary = "Of a guest_memfd; by default what the VM's type offers."},
	{"node", FIELD_INTEGER, FIELD_OPTIONAL, .max = 1023, .default_value = FIELD_UNSET,
		AT(memory_create_parameters, node), .summary = "The NUMA node."},
	{"page_size", FIELD_INTEGER, FIELD_PAGES | FIELD_OPTIONAL, .min = HUGE_PAGE_MIN,
		.max = HUGE_PAGE_MAX, AT(memory_create_parameters, page_size),
		.summary = "Of a memfd: 2097152 or 1073741824, for huge pages, which the host must "
			   "have set aside, and are reserved for it. By default the host's own, as "
			   "a guest_memfd's are."},
	END,
};

static const struct field memory_create_result[] = {
	{"memory", FIELD_INTEGER, .summary = MEMORY_ID},
	CALL_FIELD,
	{"fd", FIELD_FD, FIELD_OPTIONAL, .summary = "Where the work is done already."},
	END,
};

static const struct field memory_parameters[] = {
	{"memory", FIELD_INTEGER, .max = INT64_MAX, AT(memory_parameters, memory),
		.summary = MEMORY_ID},
	END,
};

static const struct field memory_grant_to_fields[] = {
	{"uid", FIELD_INTEGER, FIELD_OPTIONAL, .max = UINT32_MAX - 1, .default_value = FIELD_UNSET,
		AT(memory_grant_to, uid), .summary = "Any process of a user."},
	{"pid", FIELD_INTEGER, FIELD_OPTIONAL, .min = 1, .max = INT32_MAX,
		.default_value = FIELD_UNSET, AT(memory_grant_to, pid),
		.summary = "The process that has this pid now, in the caller's and gmemd's PID "
			   "namespace."},
	{"pidfd", FIELD_FD, FIELD_OPTIONAL, AT(memory_grant_to, pidfd),
		.summary = "The process that it is of, in any PID namespace."},
	END,
};

static const struct field memory_grant_parameters[] = {
	{"memory", FIELD_INTEGER, .max = INT64_MAX, AT(memory_grant_parameters, memory),
		.summary = MEMORY_ID},
	{"to", FIELD_OBJECT, .fields = memory_grant_to_fields,
		.item_size = sizeof(struct memory_grant_to), AT(memory_grant_parameters, to),
		.summary = "Who may open it: one of these."},
	{"once", FIELD_BOOLEAN, FIELD_OPTIONAL, AT(memory_grant_parameters, once),
		.summary = "Whether it may be opened once only."},
	END,
};

static const struct field memory_grant_result[] = {
	{"grant", FIELD_INTEGER, .summary = "Its id, as vm.get lists it."},
	{"revocable", FIELD_BOOLEAN,
		.summary = "false: who has opened a guest_memfd can keep it, and pass it on."},
	{"notice", FIELD_STRING, .summary = "The same in words."},
	END,
};

static const struct field file_range_fields[] = {
	{"offset", FIELD_INTEGER, FIELD_PAGES, .max = BYTES_MAX, AT(file_range, offset),
		.summary = "Bytes into the memory."},
	{"size", FIELD_INTEGER, FIELD_PAGES, .min = 1, .max = BYTES_MAX, AT(file_range, size),
		.summary = "Bytes."},
	END,
};

static const struct field memory_reclaim_parameters[] = {
	{"memory", FIELD_INTEGER, .max = INT64_MAX, AT(memory_reclaim_parameters, memory),
		.summary = MEMORY_ID},
	{"ranges", FIELD_ARRAY, .fields = file_range_fields, .item_size = sizeof(struct file_range),
		.min = 1, .max = RANGES_MAX, AT(memory_reclaim_parameters, ranges),
		.summary = "What to give back. Whoever touches it next reads zeroes."},
	END,
};

static const struct field memory_reclaim_result[] = {
	{"reclaimed", FIELD_INTEGER, .summary = "Bytes of pages given back to the host."},
	{"resident", FIELD_INTEGER, .summary = "Bytes of pages that the memory has left."},
	END,
};

#define TOKEN_BYTES_MAX 64
#define THREADS_MAX     1024

static const struct field memory_preallocate_parameters[] = {
	{"memory", FIELD_INTEGER, .max = INT64_MAX, AT(memory_preallocate_parameters, memory),
		.summary = MEMORY_ID},
	{"offset", FIELD_INTEGER, FIELD_PAGES | FIELD_OPTIONAL, .max = BYTES_MAX,
		AT(memory_preallocate_parameters, offset), .summary = "Bytes into the memory."},
	{"size", FIELD_INTEGER, FIELD_PAGES | FIELD_OPTIONAL, .min = 1, .max = BYTES_MAX,
		.default_value = FIELD_UNSET, AT(memory_preallocate_parameters, size),
		.summary = "Bytes; to the memory's end by default."},
	{"threads", FIELD_INTEGER, FIELD_OPTIONAL, .min = 1, .max = THREADS_MAX,
		.default_value = FIELD_UNSET, AT(memory_preallocate_parameters, threads),
		.summary = "How many at most, and at most 64 or as many as the node has cores; by "
			   "default as many as those."},
	{"populate", FIELD_BOOLEAN, FIELD_OPTIONAL, AT(memory_preallocate_parameters, populate),
		.summary =
			"Whether pages are zeroed as well (MADV_POPULATE_WRITE, Linux 5.14), not "
			"at the first touch of each. Of a memory that can be mapped: a memfd, or "
			"one made with flags mmap and init_shared."},
	{"token", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = TOKEN_BYTES_MAX,
		AT(memory_preallocate_parameters, token),
		.summary =
			"With a token gmemd sends notifications \"progress\" of token, done and "
			"total, and memory.cancel ends it. A user has one of a token at a time."},
	END,
};

static const struct field memory_preallocate_result[] = {
	{"allocated", FIELD_INTEGER, .summary = "Bytes of pages that this has added."},
	{"resident", FIELD_INTEGER, .summary = "Bytes of pages that the memory has now."},
	{"elsewhere", FIELD_INTEGER, FIELD_OPTIONAL,
		.summary =
			"Where there are any: bytes that lie on another node than the memory's, "
			"by one page of each 4 MiB. From Linux 6.19 on a VMM can change where its "
			"mapped memory is allocated, and it may have touched pages before."},
	{"cancelled", FIELD_BOOLEAN, FIELD_OPTIONAL, .summary = "Where it was."},
	END,
};

static const struct field memory_cancel_parameters[] = {
	{"token", FIELD_STRING, .min = 1, .max = TOKEN_BYTES_MAX,
		AT(memory_cancel_parameters, token), .summary = "Of a memory.preallocate."},
	END,
};

static const struct field memory_open_result[] = {
	{"fd", FIELD_FD, .summary = "The file."},
	{"size", FIELD_INTEGER, .summary = "Bytes."},
	{"flags", FIELD_FLAGS, .names = memory_flag_names, .summary = "As it was created."},
	END,
};

static const struct field slot_bind_parameters[] = {
	VM_PARAMETER(slot_bind_parameters),
	SLOT_PARAMETERS,
	{"guest_memfd", FIELD_INTEGER, FIELD_OPTIONAL | FIELD_NULLABLE, .max = FD_NUMBER_MAX,
		.default_value = FIELD_UNSET, AT(slot_bind_parameters, guest_memfd),
		.summary = "The memory's fd, by its number in the VMM. Required with a memory, "
			   "ignored without, and through a mapping."},
	END,
};

/* As slot.bind's, without the VM. */
static const struct field changed_slot_fields[] = {
	SLOT_PARAMETERS,
	{"guest_memfd", FIELD_INTEGER, FIELD_OPTIONAL | FIELD_NULLABLE, .max = FD_NUMBER_MAX,
		.default_value = FIELD_UNSET, AT(slot_bind_parameters, guest_memfd),
		.summary = "As of slot.bind."},
	END,
};

static const struct field slot_change_fields[] = {
	{"unbind", FIELD_INTEGER, FIELD_OPTIONAL, .max = UINT32_MAX, .default_value = FIELD_UNSET,
		AT(slot_change_item, unbind),
		.summary = "The number of a memslot that is bound, which is to be deleted."},
	{"bind", FIELD_OBJECT, FIELD_OPTIONAL, .fields = changed_slot_fields,
		.item_size = sizeof(struct slot_bind_parameters), AT(slot_change_item, bind),
		.summary = "In the place of that: a memslot to be bound, as by slot.bind."},
	END,
};

static const struct field slot_change_parameters[] = {
	VM_PARAMETER(slot_change_parameters),
	{"changes", FIELD_ARRAY, .fields = slot_change_fields,
		.item_size = sizeof(struct slot_change_item), .min = 1, .max = SLOT_CHANGES_MAX,
		AT(slot_change_parameters, changes),
		.summary = "What is to be done, in this order. Each slot once, or deleted and then "
			   "bound."},
	END,
};

static const struct field slot_change_result[] = {
	{"calls", FIELD_ARRAY, FIELD_NULLABLE, .fields = call_fields, .shared = CALL_SCHEMA,
		.summary = "What the VMM must trigger and report, in this order: one call with an "
			   "entry for each change, and what makes newly bound memory private in a "
			   "VM where it is so from the start; null where the work is done."},
	END,
};

static const struct field slot_bind_result[] = {
	CALL_FIELD,
	{"convert", FIELD_OBJECT, FIELD_OPTIONAL | FIELD_NULLABLE, .fields = call_fields,
		.shared = CALL_SCHEMA,
		.summary = "In a VM whose memory is private from the start: makes the slot's "
			   "memory private, after the binding."},
	END,
};

static const struct field call_result[] = {CALL_FIELD, END};

static const struct field slot_unbind_parameters[] = {
	VM_PARAMETER(slot_unbind_parameters),
	{"slot", FIELD_INTEGER, .max = UINT32_MAX, AT(slot_unbind_parameters, slot),
		.summary = "The memslot's number."},
	END,
};

static const struct field memory_convert_parameters[] = {
	VM_PARAMETER(memory_convert_parameters),
	{"to", FIELD_ENUM, .names = convert_to_names, AT(memory_convert_parameters, to),
		.summary = "What the guest frames are to be."},
	{"ranges", FIELD_ARRAY, .fields = range_fields, .item_size = sizeof(struct guest_range),
		.min = 1, .max = RANGES_MAX, AT(memory_convert_parameters, ranges),
		.summary =
			"Guest addresses, none twice; to private: that slots with a memory hold."},
	{"discard", FIELD_BOOLEAN, FIELD_OPTIONAL, .default_value = 1,
		AT(memory_convert_parameters, discard),
		.summary = "Whether the half that goes stale is given back to the host."},
	END,
};

static const struct field memory_convert_result[] = {
	{"calls", FIELD_ARRAY, FIELD_NULLABLE, .fields = call_fields, .shared = CALL_SCHEMA,
		.summary = "What the VMM must trigger and report, in this order; null where the "
			   "work is done."},
	{"discarded", FIELD_INTEGER,
		.summary = "Bytes of stale halves given back by now. call.done tells of what a "
			   "call converts."},
	END,
};

static const struct field call_done_parameters[] = {
	VM_PARAMETER(call_done_parameters),
	{"call", FIELD_INTEGER, .max = INT64_MAX, AT(call_done_parameters, call),
		.summary = "The call's id."},
	{"done", FIELD_INTEGER, .max = UINT32_MAX, AT(call_done_parameters, done),
		.summary = "How many of its ioctls succeeded."},
	{"errno", FIELD_STRING, FIELD_OPTIONAL, .min = 2, .max = 32,
		AT(call_done_parameters, errno_name),
		.summary = "The name of the first failure's errno, where one failed."},
	{"fd", FIELD_FD, FIELD_OPTIONAL, AT(call_done_parameters, fd),
		.summary = "The new guest_memfd, of a creation that succeeded."},
	{"waited_ms", FIELD_INTEGER, FIELD_OPTIONAL, .max = UINT32_MAX,
		AT(call_done_parameters, waited_ms),
		.summary =
			"How long the VMM has waited for gmemd to give it the call, where that is "
			"worth an event to operators."},
	END,
};

static const struct field call_done_result[] = {
	{"discarded", FIELD_INTEGER, FIELD_OPTIONAL,
		.summary = "Of a conversion: bytes of pages of stale halves given back."},
	END,
};

static const struct field config_get_parameters[] = {
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 64,
		AT(config_get_parameters, cursor),
		.summary = "Of the page before; from the beginning where it is absent."},
	END,
};

static const struct field config_setting_fields[] = {
	{"section", FIELD_STRING, .summary = "Of gmemd.conf."},
	{"name", FIELD_STRING, .summary = "Its name there."},
	{"value", FIELD_STRING, .summary = "What holds, as a file would have it."},
	{"source", FIELD_ENUM, .names = config_source_names,
		.summary = "Where it comes from; earlier: from what the files were before, for it "
			   "can't be changed while gmemd runs."},
	{"file", FIELD_STRING, FIELD_OPTIONAL, .summary = "The file, where it comes from one."},
	{"line", FIELD_INTEGER, FIELD_OPTIONAL, .summary = "And the line in it."},
	{"at_next_start", FIELD_STRING, FIELD_OPTIONAL,
		.summary = "What it is from gmemd's next start on, where that is another value."},
	END,
};

static const struct field config_get_result[] = {
	{"settings", FIELD_ARRAY, .fields = config_setting_fields,
		.summary = "All settings, section by section."},
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .summary = "For the next page."},
	END,
};

static const struct field config_name_fields[] = {
	{"section", FIELD_STRING, .summary = "Of gmemd.conf."},
	{"name", FIELD_STRING, .summary = "Its name there."},
	END,
};

static const struct field config_reload_result[] = {
	{"files", FIELD_INTEGER, .summary = "How many were read."},
	{"at_next_start", FIELD_ARRAY, .fields = config_name_fields,
		.summary = "The changed settings that hold from gmemd's next start on."},
	END,
};

/* Of no tenant by user's number: that has 42 bytes, and the cursor its word before it. */
#define TENANT_BYTES_MAX 42

#define TENANT_FIELDS                                                                              \
	{"tenant", FIELD_STRING, .summary = "Its name; uid:NUMBER is a user by itself."},          \
		{"configured", FIELD_BOOLEAN, .summary = "Whether gmemd.conf has it."},            \
		{"limit", FIELD_INTEGER, FIELD_NULLABLE,                                           \
			.summary = "Bytes that its VMs may have together; null: what the host "    \
				   "has."},                                                        \
		{"reserve", FIELD_INTEGER,                                                         \
			.summary = "Bytes of the host's that no other tenant can have."},          \
		{"node_reserves", FIELD_ARRAY, .fields = tenant_node_fields,                       \
			.summary = "What of the reserve is there on which NUMA node."},            \
		{"promised", FIELD_INTEGER,                                                        \
			.summary = "Bytes promised to its VMs and reservations, whether charged "  \
				   "yet or not."},                                                 \
		{"committed", FIELD_INTEGER, .summary = "Bytes charged for their memories."},      \
		{"resident", FIELD_INTEGER,                                                        \
			.summary = "Bytes of pages allocated, in memory or swapped out."},         \
		{"vms", FIELD_INTEGER, .summary = "How many VMs it has."},                         \
	{                                                                                          \
		"under_pressure", FIELD_BOOLEAN,                                                   \
			.summary = "Whether its VMs alone are asked for memory: they have more "   \
				   "than its limit, or its cgroup waits for memory."               \
	}

static const struct field tenant_node_fields[] = {
	{"node", FIELD_INTEGER, .summary = "The NUMA node."},
	{"reserve", FIELD_INTEGER,
		.summary = "Bytes of the node's that no other tenant's memories can be bound to."},
	{"committed", FIELD_INTEGER, .summary = "Bytes of the tenant's that are bound to it."},
	END,
};

static const struct field tenant_fields[] = {TENANT_FIELDS, END};

static const struct field tenant_list_parameters[] = {
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 64,
		AT(tenant_list_parameters, cursor), .summary = "Of an answer: what follows it."},
	{"limit", FIELD_INTEGER, FIELD_OPTIONAL, .min = 1, .max = 100, .default_value = 100,
		AT(tenant_list_parameters, limit), .summary = "How many at most."},
	END,
};

static const struct field tenant_list_result[] = {
	{"tenants", FIELD_ARRAY, .fields = tenant_fields,
		.summary = "Those that gmemd.conf has, and others that have VMs, by name."},
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .summary = "For the next page."},
	END,
};

static const struct field tenant_get_parameters[] = {
	{"tenant", FIELD_STRING, .min = 1, .max = TENANT_BYTES_MAX,
		AT(tenant_get_parameters, tenant), .summary = "Its name."},
	END,
};

static const struct field tenant_set_parameters[] = {
	{"tenant", FIELD_STRING, .min = 1, .max = TENANT_BYTES_MAX,
		AT(tenant_set_parameters, tenant), .summary = "Its name."},
	{"limit", FIELD_INTEGER, FIELD_OPTIONAL, .max = INT64_MAX, .default_value = FIELD_UNSET,
		AT(tenant_set_parameters, limit),
		.summary = "Bytes that its VMs may have together, from now on. What they have "
			   "beyond it stays, grows no more, and they are asked for it."},
	{"reserve", FIELD_INTEGER, FIELD_OPTIONAL, .max = INT64_MAX, .default_value = FIELD_UNSET,
		AT(tenant_set_parameters, reserve),
		.summary = "Bytes of the host's that no other tenant can have, from now on."},
	END,
};

static const struct field tenant_set_result[] = {
	{"limit", FIELD_INTEGER, FIELD_NULLABLE, .summary = "As it is now."},
	{"reserve", FIELD_INTEGER, .summary = "As it is now."},
	{"committed", FIELD_INTEGER, .summary = "Bytes charged for its memories."},
	{"beyond", FIELD_INTEGER,
		.summary = "Bytes of these that are beyond the limit: while there are any, nothing "
			   "of its VMs grows."},
	END,
};

#define TENANT_MOST(field, what)                                                                   \
	{                                                                                          \
		field, FIELD_INTEGER, FIELD_OPTIONAL | FIELD_NULLABLE, .summary = what             \
	}

static const struct field tenant_get_result[] = {
	TENANT_FIELDS,
	{"priority", FIELD_INTEGER, FIELD_OPTIONAL,
		.summary = "Under pressure, VMs of tenants with a lower one are asked first. This "
			   "and what follows is of one that gmemd.conf has; null: nothing but the "
			   "limits of all."},
	TENANT_MOST("vms_max", "VMs at most."),
	TENANT_MOST("memories_max", "Memories of all its VMs at most."),
	TENANT_MOST("connections_max", "Connections at most."),
	TENANT_MOST("requests_max", "Requests that are not answered yet, at most."),
	TENANT_MOST("memories_per_vm", "Memories of each VM at most."),
	TENANT_MOST("slots_per_vm", "Slots of each VM at most."),
	TENANT_MOST("private_ranges_per_vm",
		"Ranges that the private memory of each VM is in, at most."),
	END,
};

static const struct field reservation_create_parameters[] = {
	{"name", FIELD_STRING, .min = 1, .max = NAME_BYTES_MAX,
		AT(reservation_create_parameters, name),
		.summary = "No other reservation has it meanwhile."},
	{"size", FIELD_INTEGER, .min = 1, .max = INT64_MAX, AT(reservation_create_parameters, size),
		.summary = "Bytes that nobody else can have from now on."},
	{"tenant", FIELD_STRING, FIELD_OPTIONAL | FIELD_NULLABLE, .min = 1, .max = NAME_BYTES_MAX,
		AT(reservation_create_parameters, tenant),
		.summary =
			"Who alone may open a VM with it, as vm.list names tenants (\"uid:107\"). "
			"By default whoever knows its id."},
	{"node", FIELD_INTEGER, FIELD_OPTIONAL | FIELD_NULLABLE, .max = 1023,
		.default_value = FIELD_UNSET, AT(reservation_create_parameters, node),
		.summary = "The NUMA node that it is of: the VM's memory is charged there, and is "
			   "of that node where memory.create names no other."},
	{"machine", FIELD_STRING, FIELD_OPTIONAL | FIELD_NULLABLE, .min = 1,
		.max = MACHINE_BYTES_MAX, AT(reservation_create_parameters, machine),
		.summary = "How the name of a libvirt machine begins, \"qemu-7-\" say, whose "
			   "processes alone may use it, as vm.open's uuid, which is its name: they "
			   "need not name it, and others may not open a VM of that UUID."},
	{"ttl_ms", FIELD_INTEGER, .min = 1, .max = RESERVATION_MS_MAX,
		AT(reservation_create_parameters, ttl_ms),
		.summary = "Milliseconds after which it lapses, if no VM was opened with it. While "
			   "the host is suspended they don't pass."},
	END,
};

static const struct field reservation_create_result[] = {
	{"reservation", FIELD_STRING,
		.summary = "Its id, for vm.open: random, so that it can't be guessed."},
	END,
};

static const struct field reservation_list_parameters[] = {
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 64,
		AT(reservation_list_parameters, cursor),
		.summary = "Of an answer: what follows it."},
	END,
};

static const struct field reservation_fields[] = {
	{"reservation", FIELD_STRING, .summary = "Its id."},
	{"name", FIELD_STRING, .summary = "As it was made."},
	{"size", FIELD_INTEGER, .summary = "Bytes."},
	{"tenant", FIELD_STRING, FIELD_NULLABLE, .summary = "Who alone may use it."},
	{"node", FIELD_INTEGER, FIELD_NULLABLE, .summary = "The NUMA node that it is of."},
	{"machine", FIELD_STRING, FIELD_NULLABLE, .summary = "Whose processes alone may use it."},
	{"ttl_ms", FIELD_INTEGER, .summary = "As it was made."},
	{"remaining_ms", FIELD_INTEGER, .summary = "Milliseconds until it lapses."},
	END,
};

static const struct field reservation_list_result[] = {
	{"reservations", FIELD_ARRAY, .fields = reservation_fields,
		.summary = "Those that no VM was opened with yet, in the order they were made."},
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .summary = "Where there are more."},
	END,
};

static const struct field reservation_cancel_parameters[] = {
	{"reservation", FIELD_STRING, .min = 1, .max = NAME_BYTES_MAX,
		AT(reservation_cancel_parameters, reservation), .summary = "Its id, or its name."},
	END,
};

static const struct field memory_residency_parameters[] = {
	{"memory", FIELD_INTEGER, .max = INT64_MAX, AT(memory_residency_parameters, memory),
		.summary = MEMORY_ID},
	{"parts", FIELD_INTEGER, FIELD_OPTIONAL, .min = 1, .max = RESIDENCY_PARTS_MAX,
		.default_value = 256, AT(memory_residency_parameters, parts),
		.summary = "How many at most; of whole pages each."},
	END,
};

static const struct field memory_residency_result[] = {
	{"part_size", FIELD_INTEGER,
		.summary = "Bytes of each part, but the last, which may be "
			   "shorter."},
	{"parts", FIELD_ARRAY,
		.summary = "For each, from the beginning, its bytes of pages allocated: integers."},
	END,
};

static const struct field node_list_parameters[] = {
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .min = 1, .max = 64,
		AT(node_list_parameters, cursor), .summary = "Of an answer: what follows it."},
	END,
};

static const struct field node_fields[] = {
	{"node", FIELD_INTEGER, .summary = "Its number."},
	{"cpus", FIELD_STRING, .summary = "Its processors, as the kernel lists them: \"0-3,8\"."},
	{"distances", FIELD_STRING,
		.summary = "To each node that is online, as the kernel lists them: \"10 21\"."},
	{"size", FIELD_INTEGER, .summary = "Bytes of memory that it has."},
	{"free", FIELD_INTEGER, .summary = "Bytes of them that nobody uses."},
	{"available", FIELD_INTEGER,
		.summary = "Bytes of them that are to be had without swapping, at a guess."},
	{"reserve", FIELD_INTEGER,
		.summary = "Bytes that VMs can't have: its share of the host's."},
	{"limit", FIELD_INTEGER, .summary = "Bytes committed or promised of it at most."},
	{"committed", FIELD_INTEGER, .summary = "Bytes charged for memories of this node."},
	{"promised", FIELD_INTEGER,
		.summary = "Bytes promised of it to reservations, and to VMs that had one."},
	{"uncommitted", FIELD_INTEGER, .summary = "Bytes that would still fit."},
	{"resident", FIELD_INTEGER,
		.summary = "Bytes of pages of memories of this node, when they were last counted. "
			   "Where the pages of others are, which name no node, gmemd does not "
			   "know."},
	END,
};

static const struct field node_list_result[] = {
	{"nodes", FIELD_ARRAY, .fields = node_fields,
		.summary = "NUMA nodes that have or had memory, in the order of their numbers."},
	{"cursor", FIELD_STRING, FIELD_OPTIONAL, .summary = "Where there are more."},
	END,
};

static const struct field host_profile_parameters[] = {
	{"action", FIELD_ENUM, .names = profile_action_names, AT(host_profile_parameters, action),
		.summary = "begin: from now on, anew; all answer with what there is since."},
	END,
};

static const struct field profile_method_fields[] = {
	{"method", FIELD_STRING, FIELD_NULLABLE,
		.summary = "null: of no request, or one whose method there is not."},
	{"requests", FIELD_INTEGER, .summary = "That were answered since."},
	{"times_ns", FIELD_ARRAY,
		.summary = "Nanoseconds in each stage, in their order: integers."},
	END,
};

static const struct field host_profile_result[] = {
	{"elapsed_ns", FIELD_INTEGER, .summary = "Nanoseconds since it was begun."},
	{"processor_ns", FIELD_INTEGER,
		.summary = "Nanoseconds of them that gmemd's loop had a processor."},
	{"stages", FIELD_ARRAY,
		.summary =
			"Strings: a packet is received, parsed, checked, acted on, recorded in "
			"ledgers, kept by gmemd-keeper, answered. What is done within another is "
			"of that one alone."},
	{"methods", FIELD_ARRAY, .fields = profile_method_fields,
		.summary = "Those that took any time. What a batch has in common is its first "
			   "and last request's."},
	END,
};

#define ERRORS(...) ((const enum rpc_code[]){__VA_ARGS__ __VA_OPT__(, ) RPC_OK})

const struct shared_schema shared_schemas[] = {{CALL_SCHEMA, call_fields}, {NULL, NULL}};

const struct method methods[METHODS] = {
	[METHOD_PING] = {"ping", ACCESS_VMM | ACCESS_OPERATOR, no_fields, no_fields, ERRORS(),
		"Answers."},
	[METHOD_HOST_DESCRIBE] = {"host.describe", ACCESS_VMM | ACCESS_OPERATOR, no_fields,
		host_describe_result, ERRORS(),
		"What this host and its kernel offer, and the limits in force."},
	[METHOD_HOST_OPEN_KVM] = {"host.open_kvm", ACCESS_VMM, no_fields, host_open_kvm_result,
		ERRORS(RPC_NOT_PERMITTED, RPC_UNSUPPORTED, RPC_KERNEL),
		"A device to learn what KVM offers, where the configuration has probes. The "
		"process "
		"is to put a closed gate round itself, as gmem-run-qemu does."},
	[METHOD_RPC_DISCOVER] = {"rpc.discover", ACCESS_VMM | ACCESS_OPERATOR,
		rpc_discover_parameters, rpc_discover_result, ERRORS(RPC_NOT_FOUND),
		"This description of all methods, as OpenRPC."},
	[METHOD_VM_OPEN] = {"vm.open", ACCESS_VMM, vm_open_parameters, vm_open_result,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_CONFLICT,
			RPC_UNSUPPORTED, RPC_KERNEL, RPC_BUSY, RPC_LIMIT),
		"Opens a VM for the peer's process, which then may make it."},
	[METHOD_VM_GATE] = {"vm.gate", ACCESS_VMM, vm_gate_parameters, no_fields,
		ERRORS(RPC_NOT_FOUND, RPC_CONFLICT, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Hands over the listener of the gate round the VMM."},
	[METHOD_VM_RESUME] = {"vm.resume", ACCESS_VMM, vm_resume_parameters, vm_resume_result,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_CONFLICT,
			RPC_UNSUPPORTED, RPC_KERNEL, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Goes on with the VM of the peer's process on this connection, after another one "
		"or another gmemd. What it has asked on one that it has closed, and was not "
		"answered, is not carried out any more."},
	[METHOD_VM_LIST] = {"vm.list", ACCESS_VMM | ACCESS_OPERATOR, vm_list_parameters,
		vm_list_result, ERRORS(), "The VMs that the peer may see, in pages."},
	[METHOD_VM_GET] = {"vm.get", ACCESS_VMM | ACCESS_OPERATOR, vm_get_parameters, vm_get_result,
		ERRORS(RPC_NOT_FOUND), "One VM with its memories, slots and calls, in pages."},
	[METHOD_VM_CLOSE] = {"vm.close", ACCESS_VMM | ACCESS_OPERATOR, vm_close_parameters,
		released_result, ERRORS(RPC_NOT_FOUND, RPC_GONE),
		"Releases all memory of a VM and whatever else gmemd holds for it."},
	[METHOD_VM_SET] = {"vm.set", ACCESS_VMM | ACCESS_OPERATOR, vm_set_parameters, no_fields,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_BUSY, RPC_LIMIT,
			RPC_GONE),
		"Changes what a VM was opened with, all that is asked for or nothing."},
	[METHOD_MEMORY_CREATE] = {"memory.create", ACCESS_VMM, memory_create_parameters,
		memory_create_result,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_CONFLICT,
			RPC_UNSUPPORTED, RPC_KERNEL, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Charges a memory and writes the arguments that create it."},
	[METHOD_MEMORY_OPEN] = {"memory.open", ACCESS_VMM | ACCESS_OPERATOR, memory_parameters,
		memory_open_result, ERRORS(RPC_NOT_FOUND, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Hands the memory's file out, to its VM's process, or to who was granted it."},
	[METHOD_MEMORY_CLOSE] = {"memory.close", ACCESS_VMM | ACCESS_OPERATOR, memory_parameters,
		released_result, ERRORS(RPC_NOT_FOUND, RPC_CONFLICT, RPC_BUSY, RPC_GONE),
		"Frees a memory's pages and gives its charge back. Of a closed one it frees the "
		"pages that have come since."},
	[METHOD_MEMORY_RECLAIM] = {"memory.reclaim", ACCESS_VMM | ACCESS_OPERATOR,
		memory_reclaim_parameters, memory_reclaim_result,
		ERRORS(RPC_NOT_FOUND, RPC_KERNEL, RPC_BUSY, RPC_GONE),
		"Gives pages of a memory back to the host, bound or not."},
	[METHOD_MEMORY_PREALLOCATE] = {"memory.preallocate", ACCESS_VMM | ACCESS_OPERATOR,
		memory_preallocate_parameters, memory_preallocate_result,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_CONFLICT,
			RPC_UNSUPPORTED, RPC_KERNEL, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Allocates a memory's pages, charged to the VM's memory cgroup unless the VM was "
		"opened otherwise. Answers when that is done; an error tells what is allocated."},
	[METHOD_MEMORY_CANCEL] = {"memory.cancel", ACCESS_VMM | ACCESS_OPERATOR,
		memory_cancel_parameters, no_fields, ERRORS(RPC_NOT_FOUND),
		"Ends a memory.preallocate, which then answers with what is allocated."},
	[METHOD_SLOT_BIND] = {"slot.bind", ACCESS_VMM, slot_bind_parameters, slot_bind_result,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_CONFLICT,
			RPC_UNSUPPORTED, RPC_KERNEL, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Writes the arguments that bind a memslot, or change the flags of one."},
	[METHOD_SLOT_UNBIND] = {"slot.unbind", ACCESS_VMM, slot_unbind_parameters, call_result,
		ERRORS(RPC_NOT_FOUND, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Writes the arguments that delete a memslot."},
	[METHOD_SLOT_CHANGE] = {"slot.change", ACCESS_VMM, slot_change_parameters,
		slot_change_result,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_CONFLICT,
			RPC_UNSUPPORTED, RPC_KERNEL, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Writes the arguments of several deletions and bindings, all or none. What is "
		"charged is what there is when all are done."},
	[METHOD_MEMORY_CONVERT] = {"memory.convert", ACCESS_VMM, memory_convert_parameters,
		memory_convert_result,
		ERRORS(RPC_NOT_FOUND, RPC_NOT_PERMITTED, RPC_BUDGET_EXCEEDED, RPC_UNSUPPORTED,
			RPC_KERNEL, RPC_BUSY, RPC_LIMIT, RPC_PINNED, RPC_GONE),
		"Writes the arguments that make guest frames private or shared."},
	[METHOD_CALL_DONE] = {"call.done", ACCESS_VMM, call_done_parameters, call_done_result,
		ERRORS(RPC_NOT_FOUND, RPC_CONFLICT, RPC_BUSY, RPC_LIMIT, RPC_GONE),
		"Reports what came of a call that the VMM had to trigger."},
	[METHOD_EVENT_SUBSCRIBE] = {"event.subscribe", ACCESS_VMM | ACCESS_OPERATOR, no_fields,
		no_fields, ERRORS(),
		"From now on sends notifications \"event\" of the VMs that the peer may see."},
	[METHOD_MEMORY_GRANT] = {"memory.grant", ACCESS_VMM, memory_grant_parameters,
		memory_grant_result,
		ERRORS(RPC_NOT_FOUND, RPC_BUSY, RPC_LIMIT, RPC_KERNEL, RPC_GONE),
		"Lets another process open the memory by memory.open, until the memory is closed "
		"or the VM ends."},
	[METHOD_METRICS_GET] = {"metrics.get", ACCESS_OPERATOR, no_fields, metric_fields, ERRORS(),
		"Counters, since gmemd was started, and gauges, by their OpenMetrics names."},
	[METHOD_CONFIG_GET] = {"config.get", ACCESS_OPERATOR, config_get_parameters,
		config_get_result, ERRORS(), "The settings that hold, and where each comes from."},
	[METHOD_CONFIG_RELOAD] = {"config.reload", ACCESS_OPERATOR, no_fields, config_reload_result,
		ERRORS(RPC_CONFIGURATION),
		"Reads the configuration files anew. All of it holds from then on; or, where "
		"anything is wrong, nothing."},
	[METHOD_TENANT_LIST] = {"tenant.list", ACCESS_OPERATOR, tenant_list_parameters,
		tenant_list_result, ERRORS(), "The tenants, and what they have, in pages."},
	[METHOD_TENANT_GET] = {"tenant.get", ACCESS_OPERATOR, tenant_get_parameters,
		tenant_get_result, ERRORS(RPC_NOT_FOUND), "One tenant, and what it may have."},
	[METHOD_RESERVATION_CREATE] = {"reservation.create", ACCESS_OPERATOR,
		reservation_create_parameters, reservation_create_result,
		ERRORS(RPC_BUDGET_EXCEEDED, RPC_CONFLICT, RPC_LIMIT, RPC_BUSY),
		"Promises memory to a VM that is to be opened with it (vm.open's reservation). It "
		"outlives gmemd, and lapses when it says."},
	[METHOD_RESERVATION_LIST] = {"reservation.list", ACCESS_OPERATOR,
		reservation_list_parameters, reservation_list_result, ERRORS(),
		"The reservations that there are, in pages."},
	[METHOD_RESERVATION_CANCEL] = {"reservation.cancel", ACCESS_OPERATOR,
		reservation_cancel_parameters, no_fields, ERRORS(RPC_NOT_FOUND),
		"Gives a reservation back. One that a VM was opened with is none any more: what it "
		"was is that VM's until it ends."},
	[METHOD_TENANT_SET] = {"tenant.set", ACCESS_OPERATOR, tenant_set_parameters,
		tenant_set_result, ERRORS(RPC_NOT_FOUND, RPC_BUDGET_EXCEEDED, RPC_BUSY),
		"Changes what a tenant may have, until the configuration is read anew."},
	[METHOD_MEMORY_RESIDENCY] = {"memory.residency", ACCESS_VMM | ACCESS_OPERATOR,
		memory_residency_parameters, memory_residency_result,
		ERRORS(RPC_NOT_FOUND, RPC_BUSY, RPC_GONE),
		"Where in a memory its pages are: counts them anew, part by part."},
	[METHOD_NODE_LIST] = {"node.list", ACCESS_OPERATOR, node_list_parameters, node_list_result,
		ERRORS(), "The host's NUMA nodes, and what of each is committed, in pages."},
	[METHOD_HOST_PROFILE] = {"host.profile", ACCESS_OPERATOR, host_profile_parameters,
		host_profile_result, ERRORS(RPC_CONFLICT),
		"Measures where the time of requests goes, until the connection ends."},
};

const struct method *method_by_name(const char *name)
{
	for (unsigned number = 0; number < METHODS; number++) {
		/* Most begin otherwise. */
		if (methods[number].name[0] == name[0] && strcmp(methods[number].name, name) == 0)
			return &methods[number];
	}
	return NULL;
}
