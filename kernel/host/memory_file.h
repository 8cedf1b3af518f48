/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that hold guest memory: guest_memfd, and the sealed memfd behind shared memory.
 *
 * Everything here works in any process that holds the file, not just in the one that made the VM.
 * Offsets and sizes are bytes. Functions return 0 or a negative errno and write outputs only on
 * success. Reference: Documentation/virt/kvm/api.rst (KVM_CREATE_GUEST_MEMFD), fallocate(2),
 * memfd_create(2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* What tells one file from any other for as long as either is open. */
struct file_identity {
	dev_t device;
	ino_t inode;
};

/* What one look at a file tells. */
struct file_look {
	struct file_identity identity;
	uint64_t size;
	bool is_regular;
};

int file_look_at(int fd, struct file_look *ret);
int file_identity_of(int fd, struct file_identity *ret);
int file_identity_compare(const struct file_identity *a, const struct file_identity *b);

/* Whether fd is a guest_memfd, whoever made it. False too for anything that can't be looked at. */
bool memory_file_is_guest_memfd(int fd);

/*
 * The same of a file that is of no peer's: this user's own programs have kept it since it was found
 * to be one. By what it is, not by its name, for which /proc takes longer than all else that is
 * asked of such a file: on the file system of anonymous inodes, that alone is a regular file.
 */
bool memory_file_is_kept_guest_memfd(int fd, const struct file_look *look);

/* Whether it is one, or a sealed memfd: a file whose file system is the kernel's own, which answers
 * at once. */
bool memory_file_is_any(int fd);

/* The file's size. -EBADF where fd is none. */
int memory_file_size(int fd, uint64_t *ret_size);

/*
 * A memfd of size bytes, sealed against shrinking, growing, executing and further seals, in no file
 * system. The caller owns the fd, which has FD_CLOEXEC. name shows in /proc and need not be unique.
 */
int memory_file_create_memfd(const char *name, uint64_t size, int *ret_fd);

/*
 * The same of huge pages (hugetlb, MFD_HUGETLB), of which size is a multiple: HUGE_PAGES_2M or
 * HUGE_PAGES_1G. All are reserved for it, and none allocated: without that whoever touches the file
 * when there is none left gets SIGBUS. -ENOMEM where so many are not to be had. Pages that the
 * kernel would have to make for it (nr_overcommit_hugepages) it makes here, which takes long: see
 * to it before that there are enough.
 */
int memory_file_create_huge(const char *name, uint64_t size, uint64_t page_size, int *ret_fd);

/* Bytes of one of its huge pages; 0: it has the host's own. It asks the file system. */
uint64_t memory_file_huge(int fd);

/*
 * Reserves what a file of huge pages has not allocated of the range, as for one that was punched:
 * that ends the pages' reservations with them. Waits for whoever allocates in it. -ENOMEM.
 */
int memory_file_reserve(int fd, uint64_t offset, uint64_t size);

/* Whether fd is such a memfd that this user has made, and what it is beside; and of this name. */
bool memory_file_is_of_this_user(int fd);
bool memory_file_look_at_own(int fd, struct stat *ret);
bool memory_file_is_own_memfd(int fd, const char *name);

/*
 * Whether nobody, not even root, can open the file for writing or change its mode; who has it open
 * for writing still can write. Setting it needs CAP_LINUX_IMMUTABLE and, for a memfd, Linux 6.6:
 * -EPERM, -ENOTTY. Reference: FS_IOC_SETFLAGS(2const), FS_IMMUTABLE_FL.
 */
bool memory_file_is_immutable(int fd);
int memory_file_set_immutable(int fd, bool immutable);

/* Bytes of pages allocated, in memory or swapped out, exact: cachestat(2), Linux 6.5; -ENOSYS
 * before. */
int memory_file_resident(int fd, uint64_t *ret_bytes);
/* The same of [offset, offset + size), whole pages. Of huge pages, which the kernel counts for a
 * file as a whole alone, it is at most that much. */
int memory_file_resident_range(int fd, uint64_t offset, uint64_t size, uint64_t *ret_bytes);

/*
 * Frees [offset, offset + size): the pages go back to the host, and whoever touches them next reads
 * zeroes. Both must be multiples of the page size: of a huge page that is not all in it the part is
 * zeroed, and nothing freed. Past the end is no error.
 */
int memory_file_punch(int fd, uint64_t offset, uint64_t size);
