/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mailbox: where gmemd writes the arguments of a VM's ioctls.
 *
 * A small sealed memfd per VM. The VMM has it open for reading alone, and its mode lets nobody open
 * it for writing; it maps it at the address that gmemd names and passes pointers to its entries to
 * the VM's ioctls. With F_SEAL_FUTURE_WRITE nobody but its maker could ever write it, be it root; a
 * successor of gmemd's could not either, so that one that is to outlive gmemd is made immutable
 * instead: then whoever has it open for writing already can hand that on, and nobody else can open
 * it, be it root.
 * Each command has an area of its own, whole pages, so that no entry can be read as another struct.
 *
 * An entry is free, or taken by whoever called mailbox_take(). A free entry holds bytes that the
 * kernel refuses. An entry becomes valid by one aligned 8-byte store after all others, so that a
 * VMM that triggers it meanwhile is refused; entries are reused in turn, the one that has been free
 * longest first.
 *
 * Functions return 0 or a negative errno and write outputs only on success.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/base/uapi.h"
#include "kernel/host/memory_file.h"

enum mailbox_command {
	MAILBOX_CREATE,     /* KVM_CREATE_GUEST_MEMFD */
	MAILBOX_SLOT,       /* KVM_SET_USER_MEMORY_REGION2 */
	MAILBOX_ATTRIBUTES, /* KVM_SET_MEMORY_ATTRIBUTES */
	MAILBOX_COMMANDS
};

/* One command's entries, by their addresses in the VMM. A multiple of the page size long; stride is
 * a power of 2. */
struct mailbox_area {
	uint32_t request;
	uint64_t address;
	uint64_t length;
	uint64_t stride;
};

struct mailbox;

/* Who can write a mailbox, ever. */
enum mailbox_writers {
	MAILBOX_WRITER_ALONE, /* this process: F_SEAL_FUTURE_WRITE */
	/* Whoever is given mailbox_write_fd() too. Until mailbox_fix() also who may open what
	 * others have not the right to: root, and the user that made it. */
	MAILBOX_WRITER_SUCCESSORS,
};

/* A file's name, with its NUL: memfd_create(2) takes no longer one. */
#define MAILBOX_NAME_SIZE 250

/* A mailbox with all entries free. name shows in /proc and never changes. */
int mailbox_new(const char *name, enum mailbox_writers writers, struct mailbox **ret);
/*
 * One that a predecessor has made, whose mailbox_write_fd() fd is; that belongs to it on success.
 * Its entries are as they were; those that wait must be claimed, the others cleared, which is done
 * at the latest when one is taken. It is mapped once it is to be written. -EBADMSG where it is
 * none.
 */
int mailbox_open(int fd, struct mailbox **ret);
/*
 * The name of a mailbox that this user has made, by any fd of it: nobody else can make a file that
 * passes for one, nor write this one. -EBADMSG where it is none.
 */
int mailbox_name(int fd, char *ret, size_t size);
/* The same as mailbox_open() by a read-only fd of it, such as a VMM's, which stays the caller's,
 * and mapped. -EROFS where it is sealed against all writers to come. */
int mailbox_reopen(int fd, struct mailbox **ret);
/*
 * A note to whoever finds a mailbox that nobody else knows any more: what its name can't say, for
 * that never changes. It is written so that the old one or the new one is there whatever is killed
 * amid that.
 */
#define MAILBOX_NOTE_SIZE 64
/* Cut to that size with its NUL. -ENOMEM where the mailbox can't be mapped for that. */
int mailbox_write_note(struct mailbox *mailbox, const char *note);
/* -ENOENT where there is none. */
int mailbox_note(const struct mailbox *mailbox, char ret[static MAILBOX_NOTE_SIZE]);
/* The same by any fd of a mailbox that has a mailbox_name(). */
int mailbox_read_note(int fd, char ret[static MAILBOX_NOTE_SIZE]);
/*
 * The generation of the calls whose arguments it has held last, for the same: who goes on with a VM
 * must not give a new call the id of one that its VMM may yet report. It never becomes less.
 */
void mailbox_note_generation(struct mailbox *mailbox, uint32_t generation);
/* By any fd of a mailbox that has a mailbox_name(). 0 where none is noted. */
uint32_t mailbox_read_generation(int fd);
/* Makes it immutable; see memory_file_set_immutable(). mailbox_reopen() undoes that, and needs the
 * same capability then. */
int mailbox_fix(const struct mailbox *mailbox);
bool mailbox_is_fixed(const struct mailbox *mailbox);
/* Takes those entries of one that was opened again. -EBADMSG where it has no such entries, or they
 * are taken; -ENOMEM. */
int mailbox_claim(
	struct mailbox *mailbox, enum mailbox_command command, unsigned entry, unsigned count);
/* Makes the bytes of all free entries invalid. -ENOMEM, -EIO. */
int mailbox_clear_free(struct mailbox *mailbox);
/* Takes NULL, returns NULL. */
struct mailbox *mailbox_free(struct mailbox *mailbox);

/* A read-only fd of it, for the VMM: the mailbox's, or the caller's. -1 and errno where it must be
 * opened anew and can't. */
int mailbox_fd(struct mailbox *mailbox);
int mailbox_take_fd(struct mailbox *mailbox);
/* One that can write it, for whoever is to open it again. Owned by the mailbox. */
int mailbox_write_fd(const struct mailbox *mailbox);
struct file_identity mailbox_identity(const struct mailbox *mailbox);
/* When it was made: microseconds, CLOCK_REALTIME. 0 where the kernel doesn't tell a memfd's birth
 * (statx(2), STATX_BTIME). */
uint64_t mailbox_made(const struct mailbox *mailbox);
/* Where a VMM must map it, and how long it is: the same for all of them. */
uint64_t mailbox_address(const struct mailbox *mailbox);
uint64_t mailbox_length(const struct mailbox *mailbox);
void mailbox_layout(uint64_t *ret_address, uint64_t *ret_length);
struct mailbox_area mailbox_area(enum mailbox_command command);

/*
 * Takes entries that follow one another: as many as are wanted, or as there are in that place,
 * which is returned. *ret_entry is the first one's number in the command's area. -ENOSPC where none
 * is free; -ENOMEM; -EIO of one that was opened again.
 */
int mailbox_take(struct mailbox *mailbox, enum mailbox_command command, unsigned wanted,
	unsigned *ret_entry);
/* The same of exactly as many. -ENOSPC where so many don't follow one another, -ENOMEM. */
int mailbox_take_all(struct mailbox *mailbox, enum mailbox_command command, unsigned wanted,
	unsigned *ret_entry);
/* Makes the entries' bytes invalid, then gives them back. */
void mailbox_put(
	struct mailbox *mailbox, enum mailbox_command command, unsigned entry, unsigned count);
/* How many entries the command's area has, and how many of them are free. */
unsigned mailbox_entries(const struct mailbox *mailbox, enum mailbox_command command);
unsigned mailbox_free_entries(const struct mailbox *mailbox, enum mailbox_command command);

uint64_t mailbox_entry_address(
	const struct mailbox *mailbox, enum mailbox_command command, unsigned entry);
/* The number of the entry that starts at address. -ENOENT where none does. */
int mailbox_entry_at(const struct mailbox *mailbox, enum mailbox_command command, uint64_t address,
	unsigned *ret_entry);

/* Write the arguments of one ioctl into a taken entry. */
void mailbox_write_create(
	struct mailbox *mailbox, unsigned entry, const struct kvm_create_guest_memfd *arguments);
void mailbox_write_slot(struct mailbox *mailbox, unsigned entry,
	const struct kvm_userspace_memory_region2 *arguments);
void mailbox_write_attributes(
	struct mailbox *mailbox, unsigned entry, const struct kvm_memory_attributes *arguments);
/* What was written there. */
void mailbox_read_slot(const struct mailbox *mailbox, unsigned entry,
	struct kvm_userspace_memory_region2 *ret_arguments);
void mailbox_read_attributes(
	const struct mailbox *mailbox, unsigned entry, struct kvm_memory_attributes *ret_arguments);
