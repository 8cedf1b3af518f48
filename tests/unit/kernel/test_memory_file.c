/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory files: what is a guest_memfd, what is allocated of it, what is freed.
 */
#include "kernel/host/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/huge_pages.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"

#define PAGES 64

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool guest_memfd_or_skip(int *ret_vm, int *ret_fd)
{
	if (!vm_or_skip(0, ret_vm))
		return false;
	*ret_fd = vm_guest_memfd(*ret_vm, PAGES * page_size(), 0);
	CU_ASSERT_TRUE_FATAL(*ret_fd >= 0);
	return true;
}

static void check_resident(int fd, uint64_t pages)
{
	uint64_t bytes = UINT64_MAX;
	int r = memory_file_resident(fd, &bytes);

	if (r == -ENOSYS)
		unit_skip("no cachestat(2): Linux 6.5 or newer is needed");
	else
		UNIT_ASSERT_ROW(r == 0 && bytes == pages * page_size(),
			"%d: %llu bytes resident, expected %llu pages", r,
			(unsigned long long)bytes, (unsigned long long)pages);
}

/* Kinds */

/* As of a peer's file, and as of one's own. */
static bool is_guest_memfd(int fd)
{
	bool is = memory_file_is_guest_memfd(fd);
	struct file_look look;
	bool kept = file_look_at(fd, &look) == 0 && memory_file_is_kept_guest_memfd(fd, &look);

	CU_ASSERT_EQUAL(kept, is);
	return is;
}

static void test_is_guest_memfd(void)
{
	cleanup_fd int vm = -1, fd = -1, copy = -1;

	if (!guest_memfd_or_skip(&vm, &fd))
		return;
	copy = dup(fd);
	CU_ASSERT_TRUE(is_guest_memfd(fd));
	CU_ASSERT_TRUE(is_guest_memfd(copy));
	CU_ASSERT_FALSE(is_guest_memfd(vm));
	vm = fd_close(vm);
	CU_ASSERT_TRUE(is_guest_memfd(fd));
}

static void test_is_no_guest_memfd(void)
{
	cleanup_fd int memfd = memfd_create("[kvm-gmem]", MFD_CLOEXEC);
	cleanup_fd int kvm = open("/dev/kvm", O_RDONLY | O_CLOEXEC);
	cleanup_fd int regular = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cleanup_fd int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
	CU_ASSERT_TRUE(memfd >= 0 && regular >= 0 && directory >= 0 && socket_fd >= 0);
	CU_ASSERT_FALSE(is_guest_memfd(memfd));
	CU_ASSERT_FALSE(is_guest_memfd(kvm));
	CU_ASSERT_FALSE(is_guest_memfd(regular));
	CU_ASSERT_FALSE(is_guest_memfd(directory));
	CU_ASSERT_FALSE(is_guest_memfd(socket_fd));
	CU_ASSERT_FALSE(is_guest_memfd(ends[0]));
	close(ends[0]);
	close(ends[1]);
	CU_ASSERT_FALSE(is_guest_memfd(ends[0]));
	CU_ASSERT_FALSE(is_guest_memfd(-1));
}

/* Files that one may name as one likes. */
static void test_names_deceive_nobody(void)
{
	char path[] = "/tmp/anon_inode:[kvm-gmem]XXXXXX";
	cleanup_fd int fd = mkstemp(path);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_FALSE(is_guest_memfd(fd));
	unlink(path);
	CU_ASSERT_FALSE(is_guest_memfd(fd));
}

static void test_other_anonymous_inodes(void)
{
	cleanup_fd int vm = -1;
	int vcpu;

	if (!vm_or_skip(0, &vm))
		return;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	CU_ASSERT_TRUE(vcpu >= 0);
	CU_ASSERT_FALSE(is_guest_memfd(vm));
	CU_ASSERT_FALSE(is_guest_memfd(vcpu));
	fd_close(vcpu);
}

/* Sizes and pages */

static void test_size(void)
{
	cleanup_fd int vm = -1, fd = -1;
	uint64_t size = 77;

	CU_ASSERT_EQUAL(memory_file_size(-1, &size), -EBADF);
	CU_ASSERT_EQUAL(size, 77);
	if (!guest_memfd_or_skip(&vm, &fd))
		return;
	CU_ASSERT_EQUAL(memory_file_size(fd, &size), 0);
	CU_ASSERT_EQUAL(size, PAGES * page_size());
}

static int allocate(int fd, uint64_t first, uint64_t count)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)(first * page_size()),
		(off_t)(count * page_size()));
}

static int punch(int fd, uint64_t first, uint64_t count)
{
	return memory_file_punch(fd, first * page_size(), count * page_size());
}

/* fd is a new file of PAGES pages, of either kind. */
static void check_pages(int fd)
{
	check_resident(fd, 0);
	CU_ASSERT_EQUAL(allocate(fd, 0, 16), 0);
	check_resident(fd, 16);
	CU_ASSERT_EQUAL(allocate(fd, 8, 16), 0);
	check_resident(fd, 24);
	CU_ASSERT_EQUAL(allocate(fd, PAGES - 1, 1), 0);
	check_resident(fd, 25);
	CU_ASSERT_EQUAL(punch(fd, 4, 3), 0);
	check_resident(fd, 22);
	CU_ASSERT_EQUAL(punch(fd, 4, 3), 0);
	check_resident(fd, 22);
	/* Past the end is no error. */
	CU_ASSERT_EQUAL(punch(fd, PAGES - 1, 5), 0);
	check_resident(fd, 21);
	CU_ASSERT_EQUAL(punch(fd, PAGES + 10, 1), 0);
	check_resident(fd, 21);
	CU_ASSERT_EQUAL(punch(fd, 0, PAGES), 0);
	check_resident(fd, 0);
	CU_ASSERT_EQUAL(punch(fd, 0, 0), -EINVAL);
	CU_ASSERT_EQUAL(memory_file_punch(-1, 0, page_size()), -EBADF);
}

static void test_guest_memfd_pages(void)
{
	cleanup_fd int vm = -1, fd = -1;

	if (!guest_memfd_or_skip(&vm, &fd))
		return;
	check_pages(fd);
	/* Half a page can't be freed. */
	CU_ASSERT_EQUAL(memory_file_punch(fd, page_size() / 2, page_size()), -EINVAL);
	CU_ASSERT_EQUAL(memory_file_punch(fd, 0, page_size() / 2), -EINVAL);
	CU_ASSERT_EQUAL(allocate(fd, PAGES, 1), -1);
	check_resident(fd, 0);
}

static void test_memfd_pages(void)
{
	cleanup_fd int fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("pages", PAGES * page_size(), &fd), 0);
	check_pages(fd);
}

/* Whoever touches freed pages next reads zeroes. */
static void check_zeroed(int fd)
{
	unsigned char *bytes =
		mmap(NULL, PAGES * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CU_ASSERT_NOT_EQUAL_FATAL(bytes, MAP_FAILED);
	memset(bytes, 0xaa, 3 * page_size());
	CU_ASSERT_EQUAL(punch(fd, 1, 1), 0);
	check_resident(fd, 2);
	CU_ASSERT_EQUAL(bytes[page_size() - 1], 0xaa);
	CU_ASSERT_EQUAL(bytes[page_size()], 0);
	CU_ASSERT_EQUAL(bytes[2 * page_size() - 1], 0);
	CU_ASSERT_EQUAL(bytes[2 * page_size()], 0xaa);
	check_resident(fd, 3);
	munmap(bytes, PAGES * page_size());
}

static void test_freed_pages_are_zero(void)
{
	cleanup_fd int memfd = -1, vm = -1, fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("zero", PAGES * page_size(), &memfd), 0);
	check_zeroed(memfd);
	if (!vm_or_skip(0, &vm))
		return;
	fd = vm_guest_memfd(
		vm, PAGES * page_size(), GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	if (fd < 0)
		unit_skip("a guest_memfd can't be mapped here");
	else
		check_zeroed(fd);
}

static void test_resident_of_nothing(void)
{
	uint64_t bytes = 77;

	CU_ASSERT_TRUE(memory_file_resident(-1, &bytes) < 0);
	CU_ASSERT_EQUAL(bytes, 77);
}

/* The memfd behind shared memory */

/* Of huge pages */

static void check_huge(int fd)
{
	struct huge_pages before, now;
	uint64_t bytes = 77;
	struct stat status;

	huge_pages_read(HUGE_PAGES_2M, &before);
	CU_ASSERT_EQUAL(memory_file_huge(fd), HUGE_PAGES_2M);
	CU_ASSERT_EQUAL(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	CU_ASSERT_EQUAL(fstat(fd, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0111, 0);
	CU_ASSERT_TRUE(memory_file_is_any(fd) && memory_file_is_own_memfd(fd, "huge"));
	CU_ASSERT_EQUAL(memory_file_resident(fd, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, 0);
	CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * (off_t)HUGE_PAGES_2M), 0);
	CU_ASSERT_EQUAL(memory_file_resident_range(fd, 0, HUGE_PAGES_2M, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, HUGE_PAGES_2M);
	CU_ASSERT_EQUAL(memory_file_punch(fd, 0, HUGE_PAGES_2M), 0);
	CU_ASSERT_EQUAL(memory_file_resident(fd, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, HUGE_PAGES_2M);
	CU_ASSERT_EQUAL(memory_file_reserve(fd, 0, HUGE_PAGES_2M), 0);
	huge_pages_read(HUGE_PAGES_2M, &now);
	CU_ASSERT_EQUAL(now.total, before.total);
}

static void test_huge(void)
{
	cleanup_fd int fd = -1, ordinary = -1;
	struct huge_pages pages;

	CU_ASSERT_EQUAL(huge_pages_read(4096, &pages), -ENOENT);
	CU_ASSERT_EQUAL(memory_file_create_memfd("ordinary", page_size(), &ordinary), 0);
	CU_ASSERT_EQUAL(memory_file_huge(ordinary), 0);
	if (huge_pages_read(HUGE_PAGES_2M, &pages) < 0) {
		unit_skip("the kernel has no huge pages of 2 MiB");
		return;
	}
	CU_ASSERT_TRUE(pages.reserved <= pages.free && pages.free <= pages.total);
	CU_ASSERT_EQUAL(
		memory_file_create_huge("huge", UINT64_C(1) << 50, HUGE_PAGES_2M, &fd), -ENOMEM);
	if (huge_pages_available(&pages) < 2) {
		unit_skip("the host has not set two huge pages aside");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(
		memory_file_create_huge("huge", 2 * HUGE_PAGES_2M, HUGE_PAGES_2M, &fd), 0);
	check_huge(fd);
}

static void test_memfd(void)
{
	size_t before = unit_open_fds();
	struct stat status;
	void *bytes;
	int fd = -1;

	CU_ASSERT_EQUAL_FATAL(memory_file_create_memfd("a name", PAGES * page_size(), &fd), 0);
	CU_ASSERT_EQUAL(unit_open_fds(), before + 1);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_FALSE(is_guest_memfd(fd));
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)(PAGES - 1) * (off_t)page_size()), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)(PAGES + 1) * (off_t)page_size()), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_EQUAL(fallocate(fd, 0, 0, (off_t)(PAGES + 1) * (off_t)page_size()), -1);
	CU_ASSERT_EQUAL(pwrite(fd, "x", 1, (off_t)PAGES * (off_t)page_size()), -1);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	CU_ASSERT_EQUAL(fchmod(fd, 0777), -1);
	CU_ASSERT_EQUAL(fstat(fd, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0111, 0);
	/* What it is for */
	bytes = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_NOT_EQUAL(bytes, MAP_FAILED);
	munmap(bytes, page_size());
	close(fd);
}

static void test_memfd_refused(void)
{
	size_t before = unit_open_fds();
	char name[300];
	int fd = -77;

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	CU_ASSERT_EQUAL(memory_file_create_memfd(name, page_size(), &fd), -EINVAL);
	CU_ASSERT_TRUE(memory_file_create_memfd("large", UINT64_MAX, &fd) < 0);
	CU_ASSERT_EQUAL(fd, -77);
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

/* Identity */

static void test_identity(void)
{
	cleanup_fd int one = memfd_create("same name", MFD_CLOEXEC);
	cleanup_fd int other = memfd_create("same name", MFD_CLOEXEC);
	cleanup_fd int copy = dup(one);
	struct file_identity a, b, c = {5, 5};

	CU_ASSERT_EQUAL(file_identity_of(one, &a), 0);
	CU_ASSERT_EQUAL(file_identity_of(copy, &b), 0);
	CU_ASSERT_EQUAL(file_identity_compare(&a, &b), 0);
	CU_ASSERT_EQUAL(file_identity_of(other, &b), 0);
	CU_ASSERT_NOT_EQUAL(file_identity_compare(&a, &b), 0);
	CU_ASSERT_EQUAL(file_identity_of(-1, &c), -EBADF);
	CU_ASSERT_EQUAL(c.device, 5);
}

static void test_identity_order(void)
{
	const struct file_identity ascending[] = {
		{0, 0}, {0, 1}, {0, UINT64_MAX}, {1, 0}, {1, 7}, {UINT64_MAX, 0}};
	const int count = sizeof ascending / sizeof *ascending;

	for (int i = 0; i < count; i++) {
		for (int j = 0; j < count; j++) {
			int wanted = (i > j) - (i < j);

			CU_ASSERT_EQUAL(
				file_identity_compare(&ascending[i], &ascending[j]), wanted);
		}
	}
}

static void test_guest_memfd_identity(void)
{
	cleanup_fd int vm = -1, fd = -1, other = -1;
	struct file_identity a, b;

	if (!guest_memfd_or_skip(&vm, &fd))
		return;
	other = vm_guest_memfd(vm, page_size(), 0);
	CU_ASSERT_EQUAL(file_identity_of(fd, &a), 0);
	CU_ASSERT_EQUAL(file_identity_of(other, &b), 0);
	CU_ASSERT_NOT_EQUAL(file_identity_compare(&a, &b), 0);
}

int main(void)
{
	CU_TestInfo kinds[] = {
		{"is one", test_is_guest_memfd},
		{"is none", test_is_no_guest_memfd},
		{"names deceive nobody", test_names_deceive_nobody},
		{"other anonymous inodes", test_other_anonymous_inodes},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo pages[] = {
		{"size", test_size},
		{"of a guest_memfd", test_guest_memfd_pages},
		{"of a memfd", test_memfd_pages},
		{"freed ones are zero", test_freed_pages_are_zero},
		{"of nothing", test_resident_of_nothing},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo memfd[] = {
		{"sealed", test_memfd},
		{"refused", test_memfd_refused},
		{"of huge pages", test_huge},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo identity[] = {
		{"of files", test_identity},
		{"order", test_identity_order},
		{"of guest_memfds", test_guest_memfd_identity},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "guest_memfd", .pTests = kinds},
		{.pName = "pages", .pTests = pages},
		{.pName = "memfd", .pTests = memfd},
		{.pName = "identity", .pTests = identity},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
