/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libgmem: guest memory from gmemd, for VMMs.
 *
 * gmemd decides what guest memory a VM has; the kernel lets only the VMM's own process issue its
 * VM's ioctls. So gmemd writes the arguments into a sealed mailbox and the VMM triggers them. This
 * library does that dance: a VMM calls gmem_memory_create() and gmem_slot_bind() and has a memslot.
 *
 *     gmem_connect → gmem_vm_open → gmem_memory_create → gmem_memory_map → gmem_slot_bind
 *                                                        → KVM_RUN on gmem_vm_fd()'s vCPUs
 *
 * Functions return 0 or a negative errno and write their outputs (ret_…) only on success. Sizes,
 * offsets and addresses are bytes; where memory is meant, they are multiples of the page size.
 * Every fd has FD_CLOEXEC. Whatever a call has failed with, gmem_last_error() says why, and
 * gmem_last_message() in one sentence. -EREMOTEIO means that gmemd refused. -ECONNRESET means that
 * gmemd is gone, or silent, for longer than gmem_set_reconnect_limit() allows.
 *
 * All of it belongs to the process that called gmem_connect(). In a child of that, which fork() has
 * made, every function that returns an int fails with -ECHILD and tells gmemd nothing; those that
 * free only free what the child has of it. So a VMM that daemonises does so first.
 *
 * A gmemd that is killed and started again, or whose keeper dies with it, is not seen from here:
 * the call that finds the connection broken connects again, with increasing pauses, tells gmemd
 * what this process has of its VM (vm.resume), and repeats what was not answered; calls of other
 * threads wait meanwhile. That needs the socket's path, which gmem-run tells its VMM. Where gmemd
 * and its keeper have died both, the VM's gate has lost its listener and can't have another: from
 * then on gmem_memory_create() of a guest_memfd is refused, with reason unsupported, and all else
 * goes on.
 *
 * A connection and all that was made through it may be used by several threads; calls on it take
 * turns.
 *
 * Kernel reference: Documentation/virt/kvm/api.rst, KVM_CREATE_GUEST_MEMFD and
 * KVM_SET_USER_MEMORY_REGION2 (Linux 6.8), guest_memfd that can be mapped (Linux 6.18); mseal(2)
 * (Linux 6.10); seccomp_unotify(2).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* A connection to gmemd. */
struct gmem;
/* A VM of this process. A process can have one. */
struct gmem_vm;
/* A memory of a VM: a guest_memfd, or a memfd. */
struct gmem_memory;

/*
 * Connects to gmemd's socket at path. NULL: the connection that gmem-run has passed in GMEM_FD if
 * there is one, which can be taken once, else /run/gmemd/gmemd.sock. -ENOENT or -ECONNREFUSED where
 * no gmemd serves there, -EACCES where this user may not connect. Free with gmem_free().
 */
int gmem_connect(const char *path, struct gmem **ret);

/*
 * How long a call waits without a sign of gmemd, whether it is gone or its keeper holds the
 * connection for its successor: 30 s by default. A sign is whatever comes from it; of one that has
 * long to do a second connection asks for one. 0: a connection that broke isn't made again, and
 * gmemd may be silent for 30 s.
 *
 * What the gate traps in the kernel, the making of the VM and of its guest_memfds, waits there for
 * the next gmemd, and nothing ends it. So a thread of its own, without signals, issues these two
 * ioctls, by whose number KVM's debugfs then knows the VM; it ends when it has had nothing to do
 * for 5 ms. While it is there unshare(CLONE_NEWUSER), which demands that a process has one thread
 * alone, fails with EINVAL. A call that has waited for too long leaves it there. A guest_memfd that
 * is made at last is closed; gmemd hears of that, and gives its charge back, by the next
 * gmem_memory_create().
 */
void gmem_set_reconnect_limit(struct gmem *gmem, unsigned limit_ms);

/*
 * Closes the connection. Its VM lives on in gmemd until this process ends. Takes NULL, returns
 * NULL. What was made through it must have been freed: else this is an error that
 * gmem_last_error() has, nothing is done, and gmem is returned.
 */
struct gmem *gmem_free(struct gmem *gmem);

/* The connection's fd, readable when an event waits; for poll(2) alone. Stays the library's. */
int gmem_fd(const struct gmem *gmem);

/*
 * Why this thread's last call failed: {"code":…,"message":…,"data":{"reason":…,…}}, as gmemd sent
 * it, or the library's own, with reason "library" and errno. "{}" where it did not. Valid until
 * this thread's next call.
 */
const char *gmem_last_error(void);
/* Its message alone, for people: nothing in it makes a terminal do anything. Valid until this
 * thread's next call of this function. */
const char *gmem_last_message(void);

/*
 * Calls any method with its parameters as a JSON object (NULL: none). *ret_result is the result as
 * JSON, to be freed with free(). For methods that carry fds use the functions below. -EINVAL where
 * params is no JSON object.
 */
int gmem_call(struct gmem *gmem, const char *method, const char *params, char **ret_result);

/*
 * A device to learn what KVM offers, where gmemd's configuration has that; the caller's, with
 * FD_CLOEXEC. From this call on, whatever comes of it, a VM that this process or what it executes
 * makes can be given no memory: a closed gate is round every thread, for good (seccomp(2), and
 * no_new_privs is set). -EREMOTEIO where gmemd refuses; of the gate, -ESRCH, -EPERM and such as
 * gmem_vm_open().
 */
int gmem_open_kvm(struct gmem *gmem, int *ret_kvm_fd);

/*
 * The next event after gmem_call(gmem, "event.subscribe", …), as JSON, to be freed with free().
 * Waits timeout_ms, for ever if that is negative: -ETIMEDOUT.
 */
int gmem_next_event(struct gmem *gmem, int timeout_ms, char **ret_event);

/*
 * Pressure: the host is short of memory
 *
 * gmemd tells each VM how bad it is whenever that changes, and asks some of them, the largest
 * first, to give memory back. A VMM answers with gmem_memory_reclaim() or gmem_memory_close(): all
 * that it gives back until the deadline counts, in one call or several. Who gives too little is
 * listed as overdue and asked again. With no pressure any more, what was asked for need not be
 * given. The level that there is when the handler is set is host.describe's.
 */
enum gmem_pressure_level {
	GMEM_PRESSURE_NONE,
	GMEM_PRESSURE_LOW,
	GMEM_PRESSURE_MEDIUM,
	GMEM_PRESSURE_CRITICAL,
};

struct gmem_pressure {
	enum gmem_pressure_level level;
	uint64_t ask;         /* bytes; 0: only the level has changed */
	uint64_t deadline_ms; /* from when gmemd asked; 0 without an ask */
};

/* pressure is valid during the call. It may call any of these functions but gmem_free(). */
typedef void (*gmem_pressure_handler)(const struct gmem_pressure *pressure, void *context);

/*
 * Has gmem_dispatch() call handler from now on, in the place of the last one; NULL: none.
 * Subscribes to gmemd's events. context must live until another handler is set or the connection is
 * freed.
 */
int gmem_set_pressure_handler(struct gmem *gmem, gmem_pressure_handler handler, void *context);

/*
 * Calls the handler for each event of its kind that has come, in this thread; never waits. The
 * others stay for gmem_next_event(), to which those without a handler go as well. To be called when
 * gmem_fd() is readable, and each time before the VMM waits for that: an event can also have come
 * with the answer to another call. Where gmemd is gone it goes on with another one as every call
 * does, but doesn't wait until there is one: -ECONNRESET, and gmem_fd() is readable all the time
 * until a later call succeeds. Call it again after a while, so that an idle VMM's VM is known to
 * the next gmemd.
 */
int gmem_dispatch(struct gmem *gmem);

/* VM types, by the names that vm.open takes and the numbers that KVM_CREATE_VM does on x86, for
 * whom an old <linux/kvm.h> lacks them. What a host offers is host.describe's kernel.vm_types. */
#define GMEM_TYPE_DEFAULT      "default"      /* 0 */
#define GMEM_TYPE_SW_PROTECTED "sw_protected" /* 1: KVM_X86_SW_PROTECTED_VM, Linux 6.8 */
#define GMEM_TYPE_SEV          "sev"          /* 2: KVM_X86_SEV_VM, Linux 6.10 */
#define GMEM_TYPE_SEV_ES       "sev_es"       /* 3: KVM_X86_SEV_ES_VM, Linux 6.10 */
#define GMEM_TYPE_SNP          "snp"          /* 4: KVM_X86_SNP_VM, Linux 6.11 */
#define GMEM_TYPE_TDX          "tdx"          /* 5: KVM_X86_TDX_VM, Linux 6.16 */

/* KVM_EXIT_MEMORY_FAULT, of Linux 6.8: what gmem_memory_fault() is for. */
#define GMEM_EXIT_MEMORY_FAULT 39

/* Whether there is a gate round the VMM. */
enum gmem_gate {
	GMEM_GATE_REQUIRED, /* there is */
	GMEM_GATE_NONE,     /* there is not; only where gmemd's policy permits that */
};

/* What guest frames are. Private ones are the guest's alone. */
enum gmem_state { GMEM_SHARED, GMEM_PRIVATE };

/*
 * What becomes of the other slots' mappings in the guest when one is deleted. KVM takes down those
 * of all slots of a VM of the default type, and the guest faults for each page again; from Linux
 * 6.12 on it need not (KVM_X86_QUIRK_SLOT_ZAP_ALL, Documentation/virt/kvm/api.rst).
 */
enum gmem_mappings {
	GMEM_MAPPINGS_STAY, /* where KVM can do that: libgmem switches the quirk off for good */
	GMEM_MAPPINGS_GO,   /* as KVM does it by itself */
};

struct gmem_vm_options {
	const char *name;      /* for people; required but under gmem-run */
	const char *uuid;      /* NULL: gmemd makes one */
	const char *type;      /* GMEM_TYPE_…, or a number as text; NULL: "default" */
	uint64_t commit_limit; /* 0: only the host's */
	enum gmem_gate gate;
	enum gmem_state initial_state; /* of what is bound; private where the VM's type has that */
	uint64_t minimum;              /* as gmem_vm_set_minimum(); 0: none */
	/* What an operator has reserved for it, by its id, or by its name where it is for this
	 * process's tenant; its size is the commit limit, or the most of it. NULL: none. */
	const char *reservation;
	enum gmem_mappings mappings;
};

/*
 * Opens this process's VM: puts the gate round all threads of this process, maps and seals the
 * mailbox, and makes the VM with KVM_CREATE_VM. Under gmem-run, which has done the first of that,
 * options may be NULL, and of them mappings alone counts. The gate and the mapping stay for good,
 * whatever comes after. Free with gmem_vm_free().
 *
 * -EREMOTEIO: gmemd refused. -EPERM: gmemd did not let the VM be made. -EEXIST: something is mapped
 * where the mailbox must be. -ESRCH: a thread has seccomp filters of its own. -EBUSY: the process
 * runs below another seccomp listener. -ECHILD: gmem-run has opened the VM for another process.
 *
 * A gmemd whose back end is the model has no VM to make: there is no gate then, gmem_vm_fd() and
 * gmem_vm_kvm_fd() are -1, and all else is as with KVM but that no guest can run.
 */
int gmem_vm_open(struct gmem *gmem, const struct gmem_vm_options *options, struct gmem_vm **ret);

/* Closes the VM's fd. gmemd releases the VM when this process ends. Takes NULL, returns NULL. Its
 * memories must have been freed, else as gmem_free(). */
struct gmem_vm *gmem_vm_free(struct gmem_vm *vm);

/*
 * Bytes of pages that the VM can't do without: under pressure gmemd asks it for what it has beyond
 * them, and a VM that has no more is not overdue. gmem-run opens VMs with none.
 */
int gmem_vm_set_minimum(struct gmem_vm *vm, uint64_t minimum);

/* Has gmemd release the VM now. All its memory is gone; nothing but gmem_vm_free() may follow. */
int gmem_vm_close(struct gmem_vm *vm);

/* The VM's fd, for vCPUs and what else the VMM does with it. Stays the library's. */
int gmem_vm_fd(const struct gmem_vm *vm);
/* /dev/kvm's fd, for KVM_GET_VCPU_MMAP_SIZE and its like. Stays the library's. */
int gmem_vm_kvm_fd(const struct gmem_vm *vm);
/* gmemd's id of the VM. Lives as long as the VM. */
const char *gmem_vm_id(const struct gmem_vm *vm);

enum gmem_backing {
	GMEM_BACKING_GUEST_MEMFD,
	/* a sealed memfd, to be shared with who knows no guest_memfd, or of huge pages; can be
	 * bound through a mapping, or as a slot's shared half */
	GMEM_BACKING_MEMFD,
};

#define GMEM_MEMORY_DEFAULT_FLAGS UINT64_MAX /* what VMs of this type offer; so is 0 */
#define GMEM_MEMORY_MMAP          (1u << 0)  /* can be mapped */
#define GMEM_MEMORY_INIT_SHARED   (1u << 1)  /* is the host's to touch from the start */
#define GMEM_MEMORY_NO_FLAGS                                                                       \
	(1ull << 63) /* none of these: the guest's alone, of VM types with private memory */

#define GMEM_PAGES_2M (UINT64_C(2) << 20)
#define GMEM_PAGES_1G (UINT64_C(1) << 30)

#define GMEM_RANGES_MAX 1000 /* of one gmem_memory_reclaimv() or gmem_convertv() */

struct gmem_memory_options {
	const char *name; /* for people; NULL: none */
	enum gmem_backing backing;
	uint64_t flags; /* GMEM_MEMORY_…; of a guest_memfd, else 0 */
	/*
	 * Of a memfd: GMEM_PAGES_2M or GMEM_PAGES_1G, of which size is a multiple; 0: the host's
	 * own pages. A guest_memfd has those alone, 4 KiB on x86, in every kernel so far. The host
	 * must have set huge pages aside (hugetlb, vm.nr_hugepages): all that the memory can need
	 * are reserved now, so that the guest never meets SIGBUS for want of one, and stay so as
	 * long as the memory. -EREMOTEIO with reason budget_exceeded where there are not so many,
	 * and data says how many there are; unsupported where the kernel has none such. Offsets and
	 * sizes of what is mapped, preallocated and reclaimed of it are multiples of it; slots, all
	 * GMEM_SLOT_THROUGH_MAPPING, may be any pages of it. It can't be a shared_memory. What this
	 * process frees itself, by fallocate(2) or MADV_REMOVE, loses its reservation: use
	 * gmem_memory_reclaim(), which keeps it.
	 */
	uint64_t page_size;
	/* The NUMA node that it is charged to, and that gmemd allocates from; NULL: any. */
	const unsigned *node;
};

/*
 * Creates a memory. gmemd charges all of size now. options NULL, or all of zeroes: a guest_memfd
 * that can be mapped where the VM's type offers that. -EINVAL for flags that don't exist. Free with
 * gmem_memory_free().
 */
int gmem_memory_create(struct gmem_vm *vm, uint64_t size, const struct gmem_memory_options *options,
	struct gmem_memory **ret);

/*
 * Has gmemd free the memory's pages and give its charge back. No slot may use it any more. What was
 * mapped of it must not be touched. gmem_memory_free() must follow.
 */
int gmem_memory_close(struct gmem_memory *memory);

/* A part of a memory. */
struct gmem_memory_range {
	uint64_t offset;
	uint64_t size;
};

/*
 * Gives pages of the memory back to the host, as a balloon does: bound or not, mapped or not. Who
 * touches them next, guest or host, has them anew, and reads zeroes. They stay charged.
 * *ret_reclaimed, which may be NULL, is how many bytes of pages there were. Ranges may overlap.
 *
 * -EREMOTEIO: gmemd refused, and nothing is given back: a range is not within the memory, say.
 * -E2BIG: more than GMEM_RANGES_MAX. -EINVAL: none.
 */
int gmem_memory_reclaim(
	struct gmem_memory *memory, uint64_t offset, uint64_t size, uint64_t *ret_reclaimed);
int gmem_memory_reclaimv(struct gmem_memory *memory, const struct gmem_memory_range *ranges,
	size_t count, uint64_t *ret_reclaimed);

/* Closes this process's fd of it; gmemd keeps the memory. Takes NULL, returns NULL. */
struct gmem_memory *gmem_memory_free(struct gmem_memory *memory);

/* Stays the library's. */
int gmem_memory_fd(const struct gmem_memory *memory);
/* gmemd's id of it, unique on the host until reboot. */
uint64_t gmem_memory_id(const struct gmem_memory *memory);
uint64_t gmem_memory_size(const struct gmem_memory *memory);

enum gmem_grantee_kind { GMEM_GRANT_TO_UID, GMEM_GRANT_TO_PID, GMEM_GRANT_TO_PIDFD };

struct gmem_grantee {
	enum gmem_grantee_kind kind;
	/* A user; a process by the pid that it has now, in this process's and gmemd's PID
	 * namespace; or by a pidfd, which stays the caller's, in any. */
	uint64_t number;
	int once; /* it may open the memory once */
};

/*
 * Lets another process, a vhost-user back end of another user say, open the memory by its id, until
 * it is closed or the VM ends. Who has opened a guest_memfd can keep it and pass it on: no call
 * takes it back. vm.get lists who may, and who has. A VM that gmemd has rebuilt has no grants any
 * more. ret_grant: the grant's id; may be NULL.
 */
int gmem_memory_grant(
	struct gmem_memory *memory, const struct gmem_grantee *to, uint64_t *ret_grant);
/* The file of another process's memory, by a grant to this process or its user. It is the caller's.
 * ret_size: may be NULL. */
int gmem_open_granted(struct gmem *gmem, uint64_t memory, int *ret_fd, uint64_t *ret_size);

/*
 * Maps [offset, offset + size) of it, shared, with protection as of mmap(2) (no PROT_EXEC). To be
 * unmapped with munmap(2). -ENODEV where it has no GMEM_MEMORY_MMAP. Pages that the host may not
 * touch give SIGBUS.
 */
int gmem_memory_map(
	struct gmem_memory *memory, uint64_t offset, uint64_t size, int protection, void **ret);

#define GMEM_SLOT_READONLY        (1u << 0)
#define GMEM_SLOT_LOG_DIRTY_PAGES (1u << 1)
/*
 * A plain slot on this process's own mapping of the memory: userspace_addr is where it is mapped,
 * shared, from guest_memfd_offset on, over all of memory_size. It is charged as the memory, and may
 * overlap with other slots of the memory: an alias, a read-only window, or RAM whose writes are
 * logged, which a guest_memfd slot's can't be. gmemd looks whether it is mapped so when it is
 * bound, and now and then later: a slot that is not any more counts as this process's own memory
 * until it is unbound.
 */
#define GMEM_SLOT_THROUGH_MAPPING (1u << 31)

struct gmem_slot {
	uint32_t slot; /* bits 16 to 31: the address space */
	/* GMEM_SLOT_…; READONLY and LOG_DIRTY_PAGES only without a memory, or through a mapping */
	uint32_t flags;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	/* where the VMM has it mapped, or would; need not be mapped with a memory, but for
	 * GMEM_SLOT_THROUGH_MAPPING */
	uint64_t userspace_addr;
	/* NULL: this process's own memory at userspace_addr, such as a ROM */
	struct gmem_memory *memory;
	uint64_t guest_memfd_offset;
	/*
	 * What is mapped at userspace_addr and backs the slot while it is shared, where private
	 * memory needs a second backing: a memory of GMEM_BACKING_MEMFD. NULL: none of gmemd's.
	 * Only beside a memory with GMEM_MEMORY_NO_FLAGS: one that can be mapped is both halves.
	 */
	struct gmem_memory *shared_memory;
	uint64_t shared_offset;
};

/*
 * Binds a memslot (KVM_SET_USER_MEMORY_REGION2). The slot is the guest's on return. A slot without
 * a memory, or through a mapping, that is bound already and told of with nothing else changed has
 * its flags changed in place: GMEM_SLOT_LOG_DIRTY_PAGES alone, as the kernel has it. -EINVAL for
 * flags that don't exist. -EREMOTEIO: gmemd refused, and nothing has changed. Else what the ioctl
 * failed with.
 *
 * It takes one request, the ioctl, and one store into memory that gmemd reads when it is next asked
 * anything, or a tenth of a second later: events of slots can come as late as that.
 */
int gmem_slot_bind(struct gmem_vm *vm, const struct gmem_slot *slot);

/* Deletes a memslot. -EREMOTEIO with reason not_found where there is none. */
int gmem_slot_unbind(struct gmem_vm *vm, uint32_t slot);

/* One of several changes. */
struct gmem_slot_change {
	const struct gmem_slot *bind; /* as gmem_slot_bind(); NULL: to be deleted, as */
	uint32_t unbind;              /* gmem_slot_unbind() */
};

#define GMEM_SLOT_CHANGES_MAX 16 /* of one gmem_slot_change() */

/* Called in the thread of the call: begin right before its first ioctl, end right after its last,
 * whatever came of it, to have vCPUs out of the guest meanwhile. Neither is called where gmemd
 * refuses. They must not call any function here that changes slots. */
struct gmem_slot_hold {
	void (*begin)(void *context);
	void (*end)(void *context);
	void *context;
};

/*
 * Changes several slots at once, in their order, each once, or unbound and then bound. gmemd checks
 * all of them before any is changed, against what there is by then: a slot may be bound where
 * another was that is unbound before it. Its memory, own memory included, is counted as it is in
 * the end. hold may be NULL. *ret_done, which may be NULL, is how many are done, also on failure.
 *
 * -EREMOTEIO: gmemd refused, and none is done; data's param or change says which. -E2BIG: more than
 * GMEM_SLOT_CHANGES_MAX. -EINVAL: none. Else what an ioctl failed with: those before it are done,
 * what it was about and what follows is as before. A gmemd that is killed amid it, and its
 * successor, know the same.
 */
int gmem_slot_change(struct gmem_vm *vm, const struct gmem_slot_change *changes, size_t count,
	const struct gmem_slot_hold *hold, size_t *ret_done);

/* Conversion: of VM types with private memory */

struct gmem_range {
	uint64_t guest_phys_addr;
	uint64_t size;
};

#define GMEM_CONVERT_KEEP                                                                          \
	(1u << 0) /* leave the pages of the half that goes stale, and pay for both */

/*
 * Makes guest frames private or shared (KVM_SET_MEMORY_ATTRIBUTES, Linux 6.8). Ranges must not
 * overlap, and be bound with a memory where they are to be private; gmemd checks all before any is
 * converted. Those that are as asked for already stay so. The pages of the half that goes stale are
 * given back to the host, whose bytes are *ret_discarded; with NULL that may be so only shortly
 * after the call has returned. vCPUs may run meanwhile. Other threads that convert some of these
 * frames are waited for, and so is gmemd, while it gives back what an earlier conversion there has
 * left. A gmemd that has lost the VM meanwhile, with its keeper, is asked anew, until the kernel,
 * gmemd and this library agree.
 *
 * -EREMOTEIO: gmemd refused, and nothing is converted by this call; reason unsupported where the
 * kernel or the VM's type has no private memory. -E2BIG: more than GMEM_RANGES_MAX. -EINVAL: none,
 * or flags that don't exist. Else what the ioctl failed with; the ranges before that one are
 * converted.
 */
int gmem_convert(struct gmem_vm *vm, enum gmem_state to, uint64_t guest_phys_addr, uint64_t size,
	unsigned flags, uint64_t *ret_discarded);
int gmem_convertv(struct gmem_vm *vm, enum gmem_state to, const struct gmem_range *ranges,
	size_t count, unsigned flags, uint64_t *ret_discarded);

struct kvm_run;

/* What KVM_EXIT_MEMORY_FAULT tells, which only the VMM knows. */
enum gmem_fault {
	/* What KVM has found the frame to be: of a guest that can't say what it takes it for, as
	 * of GMEM_TYPE_SW_PROTECTED. Such a guest asks for conversions by hypercalls:
	 * gmem_convert(). */
	GMEM_FAULT_FOUND,
	/* What the guest takes it for, by its own page tables: GMEM_TYPE_SNP, GMEM_TYPE_TDX. */
	GMEM_FAULT_WISHED,
};

/*
 * What to do when KVM_RUN fails and its exit is KVM_EXIT_MEMORY_FAULT; error is its errno. 0:
 * KVM_RUN again.
 *
 * With EFAULT and GMEM_FAULT_WISHED the frames are converted to what the guest takes them for,
 * rounded outwards to whole pages, unless they are so already: another vCPU was first. With
 * GMEM_FAULT_FOUND nothing is ever converted: an exit that contradicts what is so was late, and is
 * over when KVM_RUN is called again. If it is not, -EFAULT: Linux 6.18 and 7.3 go on exiting so for
 * a hole that the guest has touched before a slot was bound there and made private, until it is
 * shared again and touched.
 *
 * Else the guest can't go on, and gmem_last_message() says why: -error where the page can't be had,
 * which is -ENOMEM (the VMM's memory cgroup is full), -EHWPOISON, or -EFAULT where there is none:
 * the memory's file is closed, no slot has it, or KVM contradicts what is so again though nothing
 * has changed. -EINVAL where it is not that exit, or one with a flag that this library does not
 * know. Else as gmem_convert().
 */
int gmem_memory_fault(
	struct gmem_vm *vm, const struct kvm_run *run, int error, enum gmem_fault means);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
