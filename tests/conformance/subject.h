/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is put to the test: KVM, or the model of it, behind one interface.
 *
 * VMs and memories have small numbers that the caller chooses, so that the same calls can be made
 * on two subjects. Calls return 0 or a negative errno. A number without a file behaves as a closed
 * fd does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "kernel/model/model.h"

#define PAGE             4096ULL
#define SUBJECT_VMS      2
#define SUBJECT_MEMORIES 16
/* Each VM's memory outside of any guest_memfd: where slots can have their userspace address. */
#define SUBJECT_ARENA (8ULL << 20)
/* The number of a file that is open, but no guest_memfd. No other number is a file. */
#define SUBJECT_OTHER_FILE SUBJECT_MEMORIES
/* Where a guest's code lies once one has run: keep away from here. */
#define SUBJECT_CODE_SLOT    20000
#define SUBJECT_CODE_ADDRESS 0xfffe0000ULL

struct subject;

struct subject_operations {
	const char *name;
	void (*free)(struct subject *subject);
	int (*vm_new)(struct subject *subject, unsigned vm);
	void (*vm_free)(struct subject *subject, unsigned vm);

	/* A number that has a file must be closed before. */
	int (*create)(struct subject *subject, unsigned vm, unsigned memory, uint64_t size,
		uint64_t flags);
	int (*duplicate)(struct subject *subject, unsigned memory, unsigned copy);
	int (*close)(struct subject *subject, unsigned memory);
	/* Owned by the subject; -EBADF where the number has none. */
	int (*fd)(struct subject *subject, unsigned memory);
	int (*fallocate)(
		struct subject *subject, unsigned memory, int mode, int64_t offset, int64_t length);
	/* Tries a mapping and undoes it. */
	int (*map)(struct subject *subject, unsigned memory, size_t length, int protection,
		int flags, int64_t offset);
	/* A shared mapping of [0, size) that stays until all are let go. One for each number. */
	int (*hold)(struct subject *subject, unsigned memory, size_t size);
	void (*let_go)(struct subject *subject);
	/* Through a mapping; -EFAULT stands for SIGBUS. */
	int (*host)(struct subject *subject, unsigned memory, uint64_t offset, uint8_t *byte,
		bool write);

	/* arguments->guest_memfd is the number of a memory. */
	int (*region)(struct subject *subject, unsigned vm, enum model_region_call call,
		const struct kvm_userspace_memory_region2 *arguments);
	int (*attributes)(struct subject *subject, unsigned vm,
		const struct kvm_memory_attributes *arguments);
	/* An enum model_access. The byte is valid where that is MODEL_ACCESS_DONE. The address is
	 * below 4 GiB. */
	int (*guest)(struct subject *subject, unsigned vm, uint64_t guest_phys_addr, uint8_t *byte,
		bool write);
};

struct subject {
	const struct subject_operations *operations;
	struct model_rules rules; /* what this kernel and VM type can do */
	uint8_t *arenas[SUBJECT_VMS];
	/* The mappings that are held. */
	uint8_t *held[SUBJECT_MEMORIES];
	size_t held_size[SUBJECT_MEMORIES];
	bool has_vcpu; /* whether guest() can be called */
};

/*
 * The kernel, by /dev/kvm. Where it can't be tried, NULL, and *ret_reason is why, valid until the
 * next call.
 */
struct subject *subject_new_kvm(unsigned long type, const char **ret_reason);
/* The model with the rules of another subject. */
struct subject *subject_new_model(const struct model_rules *rules);
/* The model with the rules of a VM type of that kernel, "7.3". */
struct subject *subject_new_model_type(
	unsigned long type, const char *kernel, const char **ret_reason);
/* Closes all that it has. Takes NULL, returns NULL. */
struct subject *subject_free(struct subject *subject);

/* Closes all files and VMs and starts with one new VM, 0. */
int subject_reset(struct subject *subject);
/* Gives a VM its arena of zeroes, takes it away. For the implementations. */
int subject_arena_new(struct subject *subject, unsigned vm);
void subject_arena_free(struct subject *subject, unsigned vm);

/* Maps a file for hold(), and unmaps all that were. For the implementations. */
int subject_hold(struct subject *subject, unsigned memory, int fd, size_t size);
void subject_let_go(struct subject *subject);

/* Pages allocated in [offset, offset + length); length 0 is to the end. A negative errno. */
int64_t subject_resident(
	struct subject *subject, unsigned memory, uint64_t offset, uint64_t length);
