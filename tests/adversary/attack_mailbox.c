/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attacks on the mailbox's mapping and on its file: neither may change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/adversary/adversary.h"

static unsigned char *start_of(const struct world *world)
{
	return (unsigned char *)(uintptr_t)mailbox_start(world);
}

/* A creation that gmemd has written for 7 pages: if its bytes are still those, nothing came of the
 * attack. */
static void order_witness(struct world *world, struct order *ret)
{
	require(order_memory(world, 7 * PAGE, ret) == 0, "gmemd writes a creation");
}

static void try_witness(struct world *world, struct order *witness)
{
	struct kvm_create_guest_memfd expected = expected_creation(world, 7 * PAGE);
	struct stat status;
	int fd;

	verdict(memcmp(witness->entry, &expected, sizeof expected) == 0,
		"the mailbox's bytes are gmemd's");
	fd = trigger(world, witness);
	verdict(fd >= 0 && fstat(fd, &status) == 0 && status.st_size == (off_t)(7 * PAGE),
		"control: what they create has the size that gmemd wrote");
	require(report(world, witness, fd) == 0, "gmemd takes the new memory");
	close(fd);
	control(world);
}

static long mapped(void *address)
{
	return address == MAP_FAILED ? -1 : 0;
}

static void try_mappings(struct world *world)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	unsigned char *start = start_of(world);
	uint64_t size = mailbox_size(world);

	for (uint64_t offset = 0; offset < size; offset += PAGE) {
		refused(EPERM, munmap(start + offset, PAGE), "munmap of page %lu", offset / PAGE);
		refused(EPERM,
			mapped(mmap(start + offset, PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
				-1, 0)),
			"mmap over page %lu", offset / PAGE);
	}
	refused(EPERM, munmap(start, size), "munmap of all");
	refused(EPERM, munmap(start - PAGE, size + 2 * PAGE), "munmap of more than it");
	refused(EPERM,
		mapped(mmap(start - PAGE, size + 2 * PAGE, PROT_READ | PROT_WRITE,
			flags | MAP_FIXED, -1, 0)),
		"mmap over more than it");
	refused(EEXIST,
		mapped(mmap(
			start, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, -1, 0)),
		"mmap where nothing should be");
}

static void try_protections(struct world *world)
{
	static const int protections[] = {
		PROT_NONE, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};
	unsigned char *start = start_of(world);

	for (size_t i = 0; i < sizeof protections / sizeof *protections; i++) {
		long r = mprotect(start, mailbox_size(world), protections[i]);

		verdict(r < 0 && (errno == EPERM || errno == EACCES), "mprotect to %d: %s",
			protections[i], r < 0 ? strerrorname_np(errno) : "WORKED");
	}
	refused(EPERM, mprotect(start, PAGE, PROT_NONE), "mprotect of a page");
	verdict(syscall(__NR_pkey_mprotect, start, PAGE, PROT_READ | PROT_WRITE, -1) < 0,
		"pkey_mprotect");
	verdict(syscall(__NR_remap_file_pages, start, PAGE, 0, 1, 0) < 0, "remap_file_pages");
}

static void try_mremap(struct world *world)
{
	unsigned char *start = start_of(world);
	uint64_t size = mailbox_size(world);
	void *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *target = (unsigned char *)own + size;

	refused(EPERM, mapped(mremap(start, size, size + PAGE, 0)), "mremap to grow");
	refused(EPERM, mapped(mremap(start, size, size + PAGE, MREMAP_MAYMOVE)),
		"mremap to grow and move");
	refused(EPERM, mapped(mremap(start, size, PAGE, 0)), "mremap to shrink");
	refused(EPERM, mapped(mremap(start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target)),
		"mremap to move");
	refused(EPERM, mapped(mremap(start, 0, size, MREMAP_MAYMOVE)), "mremap of old size 0");
	refused(EPERM, mapped(mremap(own, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start)),
		"mremap of something else over it");
	verdict(mapped(mremap(start, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) < 0,
		"mremap that leaves it empty");
}

/* What comes of it is nothing: what the first page of its file is to be, stays. */
void attack_remap(struct world *world)
{
	struct order witness;

	order_witness(world, &witness);
	try_mappings(world);
	try_protections(world);
	try_mremap(world);
	verdict(munmap(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, world->vm.opening.mailbox_fd, 0),
			PAGE) == 0,
		"control: the same file, mapped elsewhere and unsealed, can be unmapped");
	try_witness(world, &witness);
}

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* Linux 6.13: pages that nobody can read; a file's since 6.15. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

static void try_guard(struct world *world)
{
	struct kvm_create_guest_memfd expected = expected_creation(world, 7 * PAGE);
	struct order witness;

	order_witness(world, &witness);
	if (madvise(start_of(world), mailbox_size(world), MADV_GUARD_INSTALL) < 0) {
		verdict(true, "madvise GUARD_INSTALL: %s", strerrorname_np(errno));
		return;
	}
	refused(EFAULT, trigger(world, &witness), "creating from a guard page");
	require(madvise(start_of(world), mailbox_size(world), MADV_GUARD_REMOVE) == 0,
		"the guard goes");
	verdict(memcmp(witness.entry, &expected, sizeof expected) == 0,
		"what is behind a guard page is gmemd's");
	require(report_failure(world, &witness, "EFAULT") == 0, "gmemd hears of the failure");
}

/* The pages may go: what comes back must be gmemd's. */
void attack_forget(struct world *world)
{
	static const struct {
		int advice;
		const char *name;
	} advices[] = {
		{MADV_DONTNEED, "DONTNEED"},
		{MADV_REMOVE, "REMOVE"},
		{MADV_FREE, "FREE"},
		{MADV_PAGEOUT, "PAGEOUT"},
		{MADV_DONTFORK, "DONTFORK"},
		{MADV_WIPEONFORK, "WIPEONFORK"},
		{MADV_HUGEPAGE, "HUGEPAGE"},
		{MADV_HWPOISON, "HWPOISON"},
		{24 /* DONTNEED_LOCKED */, "DONTNEED_LOCKED"},
	};
	struct kvm_create_guest_memfd expected = expected_creation(world, 7 * PAGE);
	struct order witness;

	for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
		long r;

		order_witness(world, &witness);
		/* It would be this host's memory. */
		if (advices[i].advice == MADV_HWPOISON && geteuid() == 0) {
			skipped("as root it works", "madvise %s", advices[i].name);
			continue;
		}
		r = madvise(start_of(world), mailbox_size(world), advices[i].advice);
		verdict(r < 0 || memcmp(witness.entry, &expected, sizeof expected) == 0,
			"madvise %s leaves gmemd's bytes (%s)", advices[i].name,
			r < 0 ? strerrorname_np(errno) : "done");
		close(trigger(world, &witness));
		report_failure(world, &witness, "ENOMEM");
	}
	try_guard(world);
	control(world);
}

static void try_file_writes(struct world *world, int fd, const char *whose)
{
	const char bytes[8] = {1};
	off_t offset = 0;
	int pipes[2];

	verdict(pwrite(fd, bytes, sizeof bytes, 0) < 0, "pwrite to %s: %s", whose,
		strerrorname_np(errno));
	verdict(write(fd, bytes, sizeof bytes) < 0, "write to %s: %s", whose,
		strerrorname_np(errno));
	verdict(ftruncate(fd, 0) < 0, "ftruncate of %s to nothing: %s", whose,
		strerrorname_np(errno));
	verdict(ftruncate(fd, (off_t)mailbox_size(world) * 2) < 0, "ftruncate of %s to more: %s",
		whose, strerrorname_np(errno));
	verdict(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) < 0,
		"fallocate to punch %s: %s", whose, strerrorname_np(errno));
	verdict(fallocate(fd, 0, 0, (off_t)mailbox_size(world) + (off_t)PAGE) < 0,
		"fallocate to extend %s: %s", whose, strerrorname_np(errno));
	require(pipe2(pipes, O_CLOEXEC) == 0 && write(pipes[1], bytes, sizeof bytes) > 0, "a pipe");
	verdict(splice(pipes[0], NULL, fd, &offset, sizeof bytes, SPLICE_F_NONBLOCK) < 0,
		"splice into %s: %s", whose, strerrorname_np(errno));
	verdict(copy_file_range(fd, &(off_t){(off_t)PAGE}, fd, &(off_t){0}, PAGE, 0) < 0,
		"copy_file_range within %s: %s", whose, strerrorname_np(errno));
	verdict(sendfile(fd, fd, &(off_t){0}, PAGE) < 0, "sendfile to %s: %s", whose,
		strerrorname_np(errno));
	close(pipes[0]);
	close(pipes[1]);
}

void attack_file(struct world *world)
{
	int fd = world->vm.opening.mailbox_fd, reopened;
	struct order witness;
	char path[64];

	order_witness(world, &witness);
	try_file_writes(world, fd, "the mailbox");
	verdict(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0, "adding a seal");
	verdict(mapped(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) < 0,
		"mapping it writable");
	refused(EPERM, fchmod(fd, 0666), "making its mode writable");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	reopened = open(path, O_RDWR | O_CLOEXEC);
	refused(EPERM, reopened, "opening it read-write");
	if (reopened >= 0)
		close(reopened);
	verdict(open(path, O_RDONLY | O_CLOEXEC) >= 0, "control: it can be opened read-only");
	verdict(open(path, O_RDONLY | O_TRUNC | O_CLOEXEC) < 0, "truncating it by open");
	try_witness(world, &witness);
}

void attack_shm(struct world *world)
{
	int id = shmget(IPC_PRIVATE, mailbox_size(world), IPC_CREAT | 0600);
	struct order witness;
	void *elsewhere;

	require(id >= 0, "a shared memory segment");
	order_witness(world, &witness);
	refused(EPERM, (long)shmat(id, start_of(world), SHM_REMAP), "shmat over the mailbox");
	refused(EINVAL, (long)shmat(id, start_of(world), 0), "shmat where the mailbox is");
	elsewhere = shmat(id, NULL, 0);
	verdict(elsewhere != (void *)-1, "control: it can be attached elsewhere");
	shmdt(elsewhere);
	shmctl(id, IPC_RMID, NULL);
	try_witness(world, &witness);
}
