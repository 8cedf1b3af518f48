/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * adversary: a VMM that its guest has taken over. Runs under gmem-run and tries one attack on gmemd
 * or the gate; what it prints are TAP lines without numbers, which the driver gives them.
 *
 * Each attack ends with control(), the same calls done rightly, to show that the attack failed for
 * what is wrong with it and not because nothing works.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/lib/connection.h"
#include "client/lib/opening.h"
#include "client/lib/vm_state.h"
#include "kernel/base/uapi.h"
#include "kernel/kvm/mailbox.h"
#include "kernel/kvm/report_page.h"

#define PAGE 4096ul

/* What gmem-run has left, and what has become of it. */
struct world {
	struct gmem *gmem;
	struct gmem_vm vm;      /* its opening is gmem-run's; its fd is -1 until the VM is made */
	struct mailbox *layout; /* of no use but to know the areas */
};

/* An attack may rely on what its name says in the table of main.c being ready. */
typedef void attack(struct world *world);

/* --- verdict.c: what is printed --- */

/* One TAP line. */
void verdict(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Judges the result of a system call that has to fail with an errno. */
void refused(int expected, long result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void skipped(const char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What ended the child: its exit status, or a negative signal. */
int child_outcome(pid_t child);
/* Runs it in a forked child, whose verdicts count. */
void in_child(attack *run, struct world *world);
/* Says the word, and goes on when the driver has made the file in the working directory. */
void meet_driver(const char *word, const char *file);
/* Ends the program where the preparation of an attack fails. */
void require(bool truth, const char *what);

/* --- world.c: the VMM's own life --- */

void world_inherit(struct world *world);
/* Nothing but a connection, to the socket in ADVERSARY_SOCKET. */
void world_connect(struct world *world);
/* Puts it back into the environment, for a successor or for the library. */
void pass_on_opening(const struct world *world);
void pass_on(const char *variable, int fd);
/* Maps the mailbox and seals that. */
void world_map(struct world *world);
/* KVM_CREATE_VM, right in all but what was done before. Returns as ioctl(2) does. */
int create_vm(struct world *world);
/* All of that, which has to work. */
void world_open(struct world *world);

uint64_t mailbox_start(const struct world *world);
uint64_t mailbox_size(const struct world *world);
/* The address of a command's entry, written or not. */
void *entry_of(const struct world *world, enum mailbox_command command, unsigned entry);
unsigned entries_of(enum mailbox_command command);

/* --- order.c: what gmemd is asked for --- */

/* What gmemd has written, to be triggered and reported. */
struct order {
	uint64_t memory; /* of a creation */
	uint64_t call;
	uint32_t request;
	void *entry;
	struct report_place place; /* of its word, where it has one */
};

/* 0, or -EREMOTEIO as connection_request(). */
int order_memory(struct world *world, uint64_t size, struct order *ret);
/* One page from the start of a memory, which the VMM has mapped there, or nowhere. */
int order_mapped_slot(struct world *world, uint32_t slot, uint64_t guest_phys_addr,
	const void *mapped, uint64_t memory, int fd, struct order *ret);
int order_slot(struct world *world, uint32_t slot, uint64_t guest_phys_addr, uint64_t memory,
	int fd, struct order *ret);
/* On the VMM's own memory. */
int order_own_slot(struct world *world, uint32_t slot, uint64_t guest_phys_addr, uint64_t size,
	const void *memory, struct order *ret);
int order_unbind(struct world *world, uint32_t slot, struct order *ret);
int close_memory(struct world *world, uint64_t memory);
/* Does what gmemd has written. */
int trigger(const struct world *world, const struct order *order);
/* fd: -1 for none. */
int report(struct world *world, const struct order *order, int fd);
int report_failure(struct world *world, const struct order *order, const char *number);
/* Whether gmemd's last refusal had this reason. */
bool reason_is(const char *reason);

/* A memory, ready: its fd. */
int make_memory(struct world *world, uint64_t size, struct order *ret);
/* Bytes that are right in themselves, of whoever wrote them. */
struct kvm_create_guest_memfd creation_of(uint64_t size);
/* What gmemd writes where no flags are asked for: those that the VM's type has. */
struct kvm_create_guest_memfd expected_creation(const struct world *world, uint64_t size);
struct kvm_userspace_memory_region2 slot_of(uint32_t slot, uint64_t guest_phys_addr, int fd);

/* Creates, binds, unbinds and closes; all of that has to work. */
void control(struct world *world);

/* Every way to ask for a listener, each of which has to be refused. */
void try_listeners(const char *when);

/* --- the attacks, by file --- */

attack attack_own_bytes, attack_stale, attack_replay, attack_unwritten, attack_within,
	attack_wrong_page, attack_pointer_upper_half;
attack attack_command_upper_half, attack_other_commands;
attack attack_mapped_nothing, attack_mapped_unsealed, attack_mapped_private,
	attack_mapped_anonymous, attack_mapped_foreign, attack_mapped_partly, attack_mapped_longer,
	attack_mapped_elsewhere, attack_mapped_offset, attack_mapped_executable, attack_mapped_torn;
attack attack_vm_type, attack_vm_wrong_fd, attack_vm_twice, attack_vm_closed;
attack attack_fork, attack_clone_vm, attack_thread, attack_leaderless, attack_exec,
	attack_successor, attack_exec_early, attack_successor_early;
attack attack_remap, attack_forget, attack_file, attack_shm;
attack attack_write, attack_trace, attack_userfaultfd, attack_guest_write;
attack attack_wrong_fds, attack_untriggered, attack_lies, attack_giver, attack_taker;
attack attack_report_page;
attack attack_second_filter, attack_second_listener, attack_architectures, attack_deaf,
	attack_orphan;
attack attack_abandoned;
attack attack_interrupted, attack_other_thread, attack_ended_thread, attack_at_once, attack_hidden,
	attack_io_uring, attack_unknown;
attack attack_steal;
attack attack_signals, attack_threads, attack_one_entry;
