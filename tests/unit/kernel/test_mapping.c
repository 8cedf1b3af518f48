/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mailbox's mapping: the proper one is told from all others, and nothing changes it once it is
 * permanent.
 *
 * Each test maps in a child of its own, where the mapping ends with the process.
 */
#include "kernel/kvm/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/uapi.h"
#include "kernel/kvm/gate.h"
#include "kernel/kvm/mailbox.h"
#include "tests/lib/unit.h"

static struct mailbox *mailbox;
static struct mapping_expected expected;

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static void *address(void)
{
	return (void *)(uintptr_t)expected.address;
}

static void seal(void *start, uint64_t length)
{
	CU_ASSERT_EQUAL_FATAL(syscall(__NR_mseal, start, length, 0), 0);
}

/* Maps at the mailbox's address, and seals it, so that only what the test is about differs from the
 * proper one. */
static void map(uint64_t length, int protection, int flags, int fd, uint64_t offset)
{
	void *mapped =
		mmap(address(), length, protection, flags | MAP_FIXED_NOREPLACE, fd, (off_t)offset);

	CU_ASSERT_EQUAL_FATAL(mapped, address());
	seal(mapped, length);
}

static void refused(const char *wanted_reason)
{
	const char *reason = NULL;

	CU_ASSERT_EQUAL(mapping_verify(getpid(), &expected, &reason), -EPERM);
	UNIT_ASSERT_ROW(reason && strcmp(reason, wanted_reason) == 0, "\"%s\", expected \"%s\"",
		reason ? reason : "none", wanted_reason);
}

#define NOTHING    "nothing is mapped at the mailbox's address"
#define NOT_WHOLE  "the mapping is not the whole mailbox"
#define OTHER_FILE "another file is mapped at the mailbox's address"
#define NOT_SHARED "the mailbox is not mapped read-only and shared"
#define NOT_SEALED "the mailbox's mapping is not sealed"
#define WRITABLE   "the mailbox's mapping could be made writable"

/* Verifying */

static void proper(void *context)
{
	const char *reason = "untouched";

	(void)context;
	CU_ASSERT_EQUAL(
		mapping_make_permanent(mailbox_fd(mailbox), expected.address, expected.length), 0);
	CU_ASSERT_EQUAL(mapping_verify(getpid(), &expected, &reason), 0);
	CU_ASSERT_EQUAL(
		mapping_make_permanent(mailbox_fd(mailbox), expected.address, expected.length),
		-EEXIST);
	CU_ASSERT_EQUAL(mapping_verify(getpid(), &expected, &reason), 0);
}

static void nothing_there(void *context)
{
	(void)context;
	refused(NOTHING);
}

/* Neither what lies before nor what lies behind is taken for it. */
static void neighbours(void *context)
{
	char *before = (char *)address() - page_size();
	char *behind = (char *)address() + expected.length;

	(void)context;
	CU_ASSERT_EQUAL_FATAL(mmap(before, page_size(), PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
				      mailbox_fd(mailbox), 0),
		before);
	CU_ASSERT_EQUAL_FATAL(mmap(behind, page_size(), PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
				      mailbox_fd(mailbox), 0),
		behind);
	refused(NOTHING);
}

static void beside_neighbours(void *context)
{
	neighbours(context);
	proper(context);
}

static void private_mapping(void *context)
{
	(void)context;
	map(expected.length, PROT_READ, MAP_PRIVATE, mailbox_fd(mailbox), 0);
	refused(NOT_SHARED);
}

static void private_writable(void *context)
{
	(void)context;
	map(expected.length, PROT_READ | PROT_WRITE, MAP_PRIVATE, mailbox_fd(mailbox), 0);
	refused(NOT_SHARED);
}

static void executable(void *context)
{
	(void)context;
	map(expected.length, PROT_READ | PROT_EXEC, MAP_SHARED, mailbox_fd(mailbox), 0);
	refused(NOT_SHARED);
}

static void inaccessible(void *context)
{
	(void)context;
	map(expected.length, PROT_NONE, MAP_SHARED, mailbox_fd(mailbox), 0);
	refused(NOT_SHARED);
}

/* Not possible with the fd that a VMM gets. */
static void writable(void *context)
{
	void *mapped = mmap(address(), expected.length, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED_NOREPLACE, mailbox_fd(mailbox), 0);

	(void)context;
	CU_ASSERT_EQUAL(mapped, MAP_FAILED);
	CU_ASSERT_EQUAL(errno, EACCES);
	refused(NOTHING);
}

/* A file that nothing protects from writing, mapped in the very same way. */
static void could_become_writable(void *context)
{
	int fd = memfd_create("unprotected", MFD_CLOEXEC);

	(void)context;
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)expected.length), 0);
	CU_ASSERT_EQUAL_FATAL(file_identity_of(fd, &expected.file), 0);
	map(expected.length, PROT_READ, MAP_SHARED, fd, 0);
	refused(WRITABLE);
}

static void unsealed(void *context)
{
	(void)context;
	CU_ASSERT_EQUAL_FATAL(mmap(address(), expected.length, PROT_READ,
				      MAP_SHARED | MAP_FIXED_NOREPLACE, mailbox_fd(mailbox), 0),
		address());
	refused(NOT_SEALED);
}

static void another_file(void *context)
{
	struct mailbox *other;

	(void)context;
	CU_ASSERT_EQUAL_FATAL(mailbox_new("mailbox", MAILBOX_WRITER_ALONE, &other), 0);
	map(expected.length, PROT_READ, MAP_SHARED, mailbox_fd(other), 0);
	refused(OTHER_FILE);
}

static void anonymous(void *context)
{
	(void)context;
	map(expected.length, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	refused(OTHER_FILE);
}

static void anonymous_private(void *context)
{
	(void)context;
	map(expected.length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	refused(OTHER_FILE);
}

static void a_part(void *context)
{
	(void)context;
	map(expected.length - page_size(), PROT_READ, MAP_SHARED, mailbox_fd(mailbox), 0);
	refused(NOT_WHOLE);
}

static void too_much(void *context)
{
	(void)context;
	map(expected.length + page_size(), PROT_READ, MAP_SHARED, mailbox_fd(mailbox), 0);
	refused(NOT_WHOLE);
}

static void from_an_offset(void *context)
{
	(void)context;
	map(expected.length, PROT_READ, MAP_SHARED, mailbox_fd(mailbox), page_size());
	refused(NOT_WHOLE);
}

/* One page of another file within the mailbox's. */
static void patched(void *context)
{
	char *page = (char *)address() + page_size();
	void *mapped = mmap(address(), expected.length, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
		mailbox_fd(mailbox), 0);

	(void)context;
	CU_ASSERT_EQUAL_FATAL(mapped, address());
	CU_ASSERT_EQUAL_FATAL(
		mmap(page, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		page);
	seal(address(), expected.length);
	refused(NOT_WHOLE);
}

/* One that begins before the mailbox's address and covers it. */
static void laid_over(void *context)
{
	char *before = (char *)address() - page_size();
	uint64_t length = expected.length + 2 * page_size();

	(void)context;
	CU_ASSERT_EQUAL_FATAL(mmap(before, length, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
				      mailbox_fd(mailbox), 0),
		before);
	seal(before, length);
	refused(NOT_WHOLE);
}

static void no_process(void *context)
{
	const char *reason;
	pid_t child = fork();
	int r;

	(void)context;
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	r = mapping_verify(child, &expected, &reason);
	CU_ASSERT_TRUE(r < 0 && r != -EPERM);
}

/* From outside, as gmemd does it. */

static void map_and_wait(void *context)
{
	const int *ends = context;
	char byte;

	proper(NULL);
	CU_ASSERT_EQUAL(write(ends[1], "", 1), 1);
	(void)!read(ends[2], &byte, 1);
}

static bool mseal_or_skip(void)
{
	const char *reason;

	if (gate_available(&reason))
		return true;
	unit_skip(reason);
	return false;
}

static void test_another_process(void)
{
	const char *reason = NULL;
	struct unit_child child;
	int ends[4];
	char byte;

	if (!mseal_or_skip())
		return;
	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
	CU_ASSERT_EQUAL_FATAL(pipe2(ends + 2, O_CLOEXEC), 0);
	unit_child_start(&child, map_and_wait, ends);
	CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 1);
	CU_ASSERT_EQUAL(mapping_verify(child.pid, &expected, &reason), 0);
	/* And not where it isn't. */
	CU_ASSERT_EQUAL(mapping_verify(getpid(), &expected, &reason), -EPERM);
	CU_ASSERT_EQUAL(write(ends[3], "", 1), 1);
	unit_child_end(&child, 0);
	for (unsigned i = 0; i < 4; i++)
		close(ends[i]);
}

/* As the kernel tells it */

#define RECORD(range) range " r--s 00000000 00:01 1234  /memfd:mailbox\n"
#define WHOLE         RECORD("70000000-70008000")
#define BEFORE        RECORD("60000000-60001000") "Size: 4 kB\nVmFlags: rd sl\n"
#define UNTOLD        "the kernel does not tell whether the mailbox's mapping is sealed"

static void verified(const char *text, int wanted, const char *wanted_reason)
{
	const struct mapping_expected mapped = {
		.address = 0x70000000, .length = 0x8000, .file = {makedev(0, 1), 1234}};
	FILE *smaps = fmemopen((void *)text, strlen(text) + 1, "r");
	const char *reason = NULL;
	int r = mapping_verify_in(smaps, &mapped, &reason);

	UNIT_ASSERT_ROW(r == wanted, "%s: %d", text, r);
	UNIT_ASSERT_ROW(reason == wanted_reason ||
				(reason && wanted_reason && strcmp(reason, wanted_reason) == 0),
		"%s: %s", text, reason);
	fclose(smaps);
}

static void test_texts(void)
{
	verified(BEFORE WHOLE "Size: 32 kB\nVmFlags: rd mr me ms sl \n", 0, NULL);
	verified(WHOLE "VmFlags: rd sl\n", 0, NULL);
	verified(WHOLE "VmFlags: rd sl", 0, NULL);
	verified(WHOLE "VmFlags: sl rd", 0, NULL);
	verified(WHOLE "VmFlags: rd slx xsl\n", -EPERM, NOT_SEALED);
	verified(WHOLE "VmFlags:sl\n", -EPERM, NOT_SEALED);
	verified(WHOLE "VmFlags: rd sl wr\n", -EPERM, WRITABLE);
	verified(WHOLE "VmFlags: rd mw sl\n", -EPERM, WRITABLE);
	verified(WHOLE "Size: 32 kB\n", -EPERM, UNTOLD);
	/* Those of another. */
	verified(WHOLE RECORD("70008000-70009000") "VmFlags: rd sl\n", -EPERM, UNTOLD);
	verified(BEFORE, -EPERM, NOTHING);
	verified(RECORD("70001000-70002000"), -EPERM, NOTHING);
	verified("", -EPERM, NOTHING);
}

/* Permanence */

static unsigned char *bytes_before;

static void make_permanent(void)
{
	CU_ASSERT_EQUAL_FATAL(
		mapping_make_permanent(mailbox_fd(mailbox), expected.address, expected.length), 0);
	bytes_before = malloc(expected.length);
	memcpy(bytes_before, address(), expected.length);
}

/* Still the same bytes in the same mapping. */
static void unchanged(void)
{
	const char *reason = "";
	int r = mapping_verify(getpid(), &expected, &reason);

	CU_ASSERT_EQUAL(memcmp(bytes_before, address(), expected.length), 0);
	UNIT_ASSERT_ROW(r == 0, "%s", reason);
}

/* At each page, and over all of it. */
static void each_range(void (*attempt)(char *start, uint64_t length))
{
	make_permanent();
	for (uint64_t offset = 0; offset < expected.length; offset += page_size()) {
		attempt((char *)address() + offset, page_size());
		unchanged();
	}
	attempt(address(), expected.length);
	unchanged();
	/* With what lies around it. */
	attempt((char *)address() - page_size(), expected.length + 2 * page_size());
	unchanged();
	free(bytes_before);
}

static void attempt_unmap(char *start, uint64_t length)
{
	CU_ASSERT_EQUAL(munmap(start, length), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
}

static void attempt_protect(char *start, uint64_t length)
{
	const int protections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_EXEC};

	for (size_t i = 0; i < sizeof protections / sizeof *protections; i++) {
		CU_ASSERT_EQUAL(mprotect(start, length, protections[i]), -1);
		CU_ASSERT_EQUAL(pkey_mprotect(start, length, protections[i], -1), -1);
	}
}

static void attempt_move(char *start, uint64_t length)
{
	char *elsewhere =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_EQUAL(mremap(start, length, 2 * length, MREMAP_MAYMOVE), MAP_FAILED);
	CU_ASSERT_EQUAL(mremap(start, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere),
		MAP_FAILED);
	CU_ASSERT_EQUAL(mremap(start, length, length,
				MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, elsewhere),
		MAP_FAILED);
	CU_ASSERT_EQUAL(mremap(elsewhere, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, start),
		MAP_FAILED);
	if (length > page_size())
		CU_ASSERT_EQUAL(mremap(start, length, page_size(), 0), MAP_FAILED);
	munmap(elsewhere, length);
}

static void attempt_map_over(char *start, uint64_t length)
{
	const int protection = PROT_READ | PROT_WRITE;

	CU_ASSERT_EQUAL(
		mmap(start, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		MAP_FAILED);
	CU_ASSERT_EQUAL(
		mmap(start, length, PROT_READ, MAP_SHARED | MAP_FIXED, mailbox_fd(mailbox), 0),
		MAP_FAILED);
	CU_ASSERT_NOT_EQUAL(
		mmap(start, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), start);
}

/* Some are granted, for they are harmless: at most they split what the kernel counts as one
 * mapping. */
static void advise(void *context)
{
	const int advices[] = {MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTNEED_LOCKED,
		MADV_COLD, MADV_PAGEOUT, MADV_WIPEONFORK, MADV_DONTFORK, MADV_DOFORK,
		MADV_POPULATE_WRITE, 25 /* MADV_COLLAPSE, Linux 6.1 */, MADV_HUGEPAGE,
		MADV_MERGEABLE};
	const uint64_t lengths[] = {page_size(), expected.length};

	(void)context;
	make_permanent();
	CU_ASSERT_EQUAL(madvise(address(), expected.length, MADV_DONTNEED), 0);
	unchanged();
	CU_ASSERT_EQUAL(madvise(address(), expected.length, MADV_REMOVE), -1);
	CU_ASSERT_EQUAL(madvise(address(), expected.length, MADV_POPULATE_WRITE), -1);
	for (size_t i = 0; i < 2 * sizeof advices / sizeof *advices; i++) {
		madvise(address(), lengths[i % 2], advices[i / 2]);
		CU_ASSERT_EQUAL(memcmp(bytes_before, address(), expected.length), 0);
		attempt_unmap(address(), expected.length);
		attempt_protect(address(), expected.length);
	}
	free(bytes_before);
}

static void attempt_remap_pages(char *start, uint64_t length)
{
	CU_ASSERT_EQUAL(syscall(__NR_remap_file_pages, start, length, 0, 1, 0), -1);
	CU_ASSERT_EQUAL(syscall(__NR_remap_file_pages, start, page_size(), 0, 3, 0), -1);
}

static void attempt_write_memory(char *start, uint64_t length)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char *garbage = malloc(length);

	memset(garbage, 0x5a, length);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(pwrite(fd, garbage, length, (off_t)(uintptr_t)start), -1);
	CU_ASSERT_EQUAL(pwrite(fd, garbage, 8, (off_t)(uintptr_t)start), -1);
	close(fd);
	free(garbage);
}

/* A system call that writes to user memory. */
static void attempt_read_into(char *start, uint64_t length)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(read(fd, start, length), -1);
	CU_ASSERT_EQUAL(errno, EFAULT);
	close(fd);
}

static void attempt_userfaultfd(char *start, uint64_t length)
{
	const uint64_t modes[] = {
		UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP, UFFDIO_REGISTER_MODE_MINOR};
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(__NR_userfaultfd, O_CLOEXEC);

	if (fd < 0) {
		unit_skip("userfaultfd is not permitted here");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(ioctl(fd, UFFDIO_API, &api), 0);
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		struct uffdio_register range = {
			.range = {(uintptr_t)start, length}, .mode = modes[i]};

		CU_ASSERT_EQUAL(ioctl(fd, UFFDIO_REGISTER, &range), -1);
	}
	close(fd);
}

static void try_to_store(void *context)
{
	(void)context;
	make_permanent();
	*(volatile char *)address() = 1;
}

static void test_store(void)
{
	struct unit_child child;

	if (!mseal_or_skip())
		return;
	/* A sanitizer has a handler of its own for it. */
	signal(SIGSEGV, SIG_DFL);
	unit_child_start(&child, try_to_store, NULL);
	unit_child_end(&child, SIGSEGV);
}

/* Each of these runs in a child. */
#define IN_CHILD(name)                                                                             \
	static void test_##name(void)                                                              \
	{                                                                                          \
		if (mseal_or_skip())                                                               \
			unit_in_child(name, NULL);                                                 \
	}
#define PERMANENCE(name)                                                                           \
	static void name(void *context)                                                            \
	{                                                                                          \
		(void)context;                                                                     \
		each_range(attempt_##name);                                                        \
	}                                                                                          \
	IN_CHILD(name)

IN_CHILD(proper)
IN_CHILD(nothing_there)
IN_CHILD(neighbours)
IN_CHILD(beside_neighbours)
IN_CHILD(private_mapping)
IN_CHILD(private_writable)
IN_CHILD(executable)
IN_CHILD(inaccessible)
IN_CHILD(writable)
IN_CHILD(could_become_writable)
IN_CHILD(unsealed)
IN_CHILD(another_file)
IN_CHILD(anonymous)
IN_CHILD(anonymous_private)
IN_CHILD(a_part)
IN_CHILD(too_much)
IN_CHILD(from_an_offset)
IN_CHILD(patched)
IN_CHILD(laid_over)
IN_CHILD(no_process)
PERMANENCE(unmap)
PERMANENCE(protect)
PERMANENCE(move)
PERMANENCE(map_over)
IN_CHILD(advise)
PERMANENCE(remap_pages)
PERMANENCE(write_memory)
PERMANENCE(read_into)
PERMANENCE(userfaultfd)

static int set_up(void)
{
	if (mailbox_new("mailbox", MAILBOX_WRITER_ALONE, &mailbox) < 0)
		return -1;
	expected = (struct mapping_expected){
		mailbox_address(mailbox), mailbox_length(mailbox), mailbox_identity(mailbox)};
	return 0;
}

static int clean_up(void)
{
	mailbox = mailbox_free(mailbox);
	return 0;
}

int main(void)
{
	CU_TestInfo verified[] = {
		{"the proper one", test_proper},
		{"nothing there", test_nothing_there},
		{"only neighbours", test_neighbours},
		{"between neighbours", test_beside_neighbours},
		{"private", test_private_mapping},
		{"private and writable", test_private_writable},
		{"executable", test_executable},
		{"inaccessible", test_inaccessible},
		{"writable", test_writable},
		{"could become writable", test_could_become_writable},
		{"not sealed", test_unsealed},
		{"another file", test_another_file},
		{"anonymous", test_anonymous},
		{"anonymous and private", test_anonymous_private},
		{"a part", test_a_part},
		{"too much", test_too_much},
		{"from an offset", test_from_an_offset},
		{"patched", test_patched},
		{"laid over", test_laid_over},
		{"of no process", test_no_process},
		{"of another process", test_another_process},
		{"by its text", test_texts},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo permanent[] = {
		{"store", test_store},
		{"munmap", test_unmap},
		{"mprotect", test_protect},
		{"mremap", test_move},
		{"MAP_FIXED", test_map_over},
		{"madvise", test_advise},
		{"remap_file_pages", test_remap_pages},
		{"/proc/self/mem", test_write_memory},
		{"read into it", test_read_into},
		{"userfaultfd", test_userfaultfd},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "mapping verified",
			.pInitFunc = set_up,
			.pCleanupFunc = clean_up,
			.pTests = verified},
		{.pName = "mapping permanent",
			.pInitFunc = set_up,
			.pCleanupFunc = clean_up,
			.pTests = permanent},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
