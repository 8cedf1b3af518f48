/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One behaviour of the kernel as a row of the table, and what rows are written with.
 *
 * A row starts with one new VM, 0, and no memory. The helpers act on that VM and return what the
 * subject does.
 */
#pragma once

#include "tests/conformance/subject.h"

/* What a row needs of a kernel and VM type; a row that lacks it is skipped. */
enum row_needs {
	NEEDS_VCPU = 1 << 0,
	NEEDS_MMAP = 1 << 1,
	NEEDS_INIT_SHARED = 1 << 2,
	NEEDS_PRIVATE = 1 << 3,
	NEEDS_NO_PRIVATE = 1 << 4,
	NEEDS_PAGE_FAULTS = 1 << 5, /* a guest whose accesses are not emulated */
	NEEDS_EMULATION = 1 << 6,
	NEEDS_REACH = 1 << 7,  /* a guest that can reach a guest_memfd, in either way */
	NEEDS_KERNEL = 1 << 8, /* a file of the kernel's own: the model's are memfds */
};

struct trial {
	struct subject *subject;
	unsigned failures;
};

struct row {
	const char *name;
	unsigned needs;
	void (*run)(struct trial *trial);
};

/* Each ends with a row without a name. */
extern const struct row memory_rows[];
extern const struct row slot_rows[];
extern const struct row guest_rows[];
extern const struct row attribute_rows[];

/* Counts and prints a difference; the text after it is printf(3)'s. */
#define EXPECT(trial, actual, expected, ...)                                                       \
	row_expect(trial, (int64_t)(actual), (int64_t)(expected), __FILE__, __LINE__, __VA_ARGS__)
void row_expect(struct trial *trial, int64_t actual, int64_t expected, const char *file, int line,
	const char *format, ...) __attribute__((format(printf, 6, 7)));

/* All flags that this VM type takes. */
uint64_t all_flags(const struct trial *trial);

int hold(struct trial *trial, unsigned memory, size_t size);
int create(struct trial *trial, unsigned memory, uint64_t size, uint64_t flags);
int close_memory(struct trial *trial, unsigned memory);
int allocate(struct trial *trial, unsigned memory, uint64_t offset, uint64_t length);
int punch(struct trial *trial, unsigned memory, uint64_t offset, uint64_t length);
/* Pages of the whole memory. */
int64_t resident(struct trial *trial, unsigned memory);

/* A slot on a guest_memfd, with a userspace address at the same place of the arena. */
struct kvm_userspace_memory_region2 bound(const struct trial *trial, uint32_t slot,
	uint64_t guest_phys_addr, uint64_t size, unsigned memory, uint64_t offset);
/* The same with its userspace address in the mapping that is held of the memory, if one is. */
struct kvm_userspace_memory_region2 mapped(const struct trial *trial, uint32_t slot,
	uint64_t guest_phys_addr, uint64_t size, unsigned memory, uint64_t offset);
/* A slot on the arena alone. */
struct kvm_userspace_memory_region2 plain(
	const struct trial *trial, uint32_t slot, uint64_t guest_phys_addr, uint64_t size);
int set(struct trial *trial, struct kvm_userspace_memory_region2 region);
int set_v1(struct trial *trial, struct kvm_userspace_memory_region2 region);
int delete_slot(struct trial *trial, uint32_t slot);

int to_private(struct trial *trial, uint64_t address, uint64_t size);
int to_shared(struct trial *trial, uint64_t address, uint64_t size);

/* The byte read, or what came instead: 1000 and the enum model_access, or a negative errno. */
#define INSTEAD 1000
int guest_read(struct trial *trial, uint64_t guest_phys_addr);
/* An enum model_access or a negative errno. */
int guest_write(struct trial *trial, uint64_t guest_phys_addr, uint8_t byte);
/* The byte read or a negative errno. */
int host_read(struct trial *trial, unsigned memory, uint64_t offset);
int host_write(struct trial *trial, unsigned memory, uint64_t offset, uint8_t byte);
