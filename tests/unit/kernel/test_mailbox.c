/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mailbox: its entries, their addresses, and that nobody but its maker writes it.
 */
#include "kernel/kvm/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "tests/lib/unit.h"
#include "tests/lib/vm.h"

#define UNPRIVILEGED_UID 65534

static struct mailbox *mailbox;
static const unsigned char *view; /* as a VMM sees it, but elsewhere */

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static unsigned count_of(unsigned command)
{
	const struct mailbox_area area = mailbox_area(command);

	return (unsigned)(area.length / area.stride);
}

static const void *entry_view(unsigned command, unsigned entry)
{
	return view + (mailbox_entry_address(mailbox, command, entry) - mailbox_address(mailbox));
}

/* Layout */

static void test_areas(void)
{
	const uint32_t requests[MAILBOX_COMMANDS] = {
		KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION2, KVM_SET_MEMORY_ATTRIBUTES};
	const uint64_t sizes[MAILBOX_COMMANDS] = {sizeof(struct kvm_create_guest_memfd),
		sizeof(struct kvm_userspace_memory_region2), sizeof(struct kvm_memory_attributes)};
	uint64_t end = mailbox_address(mailbox) + mailbox_length(mailbox), total = 0;

	CU_ASSERT_EQUAL(mailbox_address(mailbox) % page_size(), 0);
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		const struct mailbox_area area = mailbox_area(i);

		CU_ASSERT_EQUAL(area.request, requests[i]);
		CU_ASSERT_TRUE(area.length > 0);
		CU_ASSERT_EQUAL(area.address % page_size(), 0);
		CU_ASSERT_EQUAL(area.length % page_size(), 0);
		CU_ASSERT_TRUE(area.stride >= sizes[i]);
		CU_ASSERT_EQUAL(area.stride & (area.stride - 1), 0);
		CU_ASSERT_TRUE(area.address >= mailbox_address(mailbox));
		CU_ASSERT_TRUE(area.address + area.length <= end);
		total += area.length;
		for (unsigned j = 0; j < i; j++) {
			const struct mailbox_area other = mailbox_area(j);

			CU_ASSERT_TRUE(area.address >= other.address + other.length ||
				       other.address >= area.address + area.length);
		}
	}
	CU_ASSERT_EQUAL(total, mailbox_length(mailbox));
}

static void test_entry_addresses(void)
{
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		const struct mailbox_area area = mailbox_area(i);
		uint64_t end = area.address + area.length;
		const uint64_t none[] = {area.address - area.stride, area.address - 1,
			area.address + 1, area.address + area.stride / 2,
			area.address + area.stride - 1, end - 1, end, end + area.stride,
			area.address + (1ull << 32), 0, UINT64_MAX};
		unsigned entry = 12345;

		for (unsigned wanted = 0; wanted < count_of(i); wanted++) {
			uint64_t address = mailbox_entry_address(mailbox, i, wanted);

			CU_ASSERT_EQUAL(address, area.address + wanted * area.stride);
			CU_ASSERT_EQUAL(mailbox_entry_at(mailbox, i, address, &entry), 0);
			CU_ASSERT_EQUAL(entry, wanted);
		}
		entry = 12345;
		for (size_t j = 0; j < sizeof none / sizeof *none; j++)
			UNIT_ASSERT_ROW(mailbox_entry_at(mailbox, i, none[j], &entry) == -ENOENT,
				"command %u address 0x%llx", i, (unsigned long long)none[j]);
		CU_ASSERT_EQUAL(entry, 12345);
	}
}

/* Taking and giving back */

static void test_all_taken(void)
{
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		unsigned count = count_of(i), entry, last = 12345;

		for (unsigned taken = 0; taken < count; taken++)
			CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 1, &entry), 1);
		CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 1, &last), -ENOSPC);
		CU_ASSERT_EQUAL(last, 12345);
		/* Other commands have entries of their own. */
		CU_ASSERT_EQUAL(mailbox_take(mailbox, (i + 1) % MAILBOX_COMMANDS, 1, &entry), 1);
		mailbox_put(mailbox, (i + 1) % MAILBOX_COMMANDS, entry, 1);
		mailbox_put(mailbox, i, count / 2, 1);
		CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 1, &entry), 1);
		CU_ASSERT_EQUAL(entry, count / 2);
		for (unsigned taken = 0; taken < count; taken++)
			mailbox_put(mailbox, i, taken, 1);
	}
}

static void test_reused_in_turn(void)
{
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		unsigned count = count_of(i), first, entry;

		CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 1, &first), 1);
		mailbox_put(mailbox, i, first, 1);
		for (unsigned turn = 1; turn <= 2 * count; turn++) {
			CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 1, &entry), 1);
			CU_ASSERT_EQUAL(entry, (first + turn) % count);
			mailbox_put(mailbox, i, entry, 1);
		}
	}
}

/* A run ends where an entry is taken, and at the area's end. */
static void test_runs(void)
{
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		unsigned count = count_of(i), first, entry;

		CU_ASSERT_EQUAL(mailbox_free_entries(mailbox, i), count);
		CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 1, &first), 1);
		CU_ASSERT_EQUAL(mailbox_take(mailbox, i, count, &entry), (int)(count - first - 1));
		CU_ASSERT_EQUAL(entry, first + 1);
		CU_ASSERT_EQUAL(mailbox_free_entries(mailbox, i), first);
		mailbox_put(mailbox, i, entry, count - first - 1);
		CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 3, &entry), 3);
		CU_ASSERT_EQUAL(entry, first == 0 ? 1 : 0);
		mailbox_put(mailbox, i, entry, 3);
		mailbox_put(mailbox, i, first, 1);
		CU_ASSERT_EQUAL(mailbox_free_entries(mailbox, i), count);
	}
}

/* A run or none: what is free elsewhere does not matter. */
static void test_whole_runs(void)
{
	unsigned count = count_of(MAILBOX_SLOT), entry = 99, hole;

	CU_ASSERT_EQUAL(mailbox_take_all(mailbox, MAILBOX_SLOT, count + 1, &entry), -ENOSPC);
	CU_ASSERT_EQUAL_FATAL(mailbox_take_all(mailbox, MAILBOX_SLOT, count, &entry), 0);
	CU_ASSERT_EQUAL(entry, 0);
	CU_ASSERT_EQUAL(mailbox_free_entries(mailbox, MAILBOX_SLOT), 0);
	CU_ASSERT_EQUAL(mailbox_take_all(mailbox, MAILBOX_SLOT, 1, &hole), -ENOSPC);
	mailbox_put(mailbox, MAILBOX_SLOT, 0, count);
	CU_ASSERT_EQUAL_FATAL(mailbox_take(mailbox, MAILBOX_SLOT, 5, &entry), 5);
	CU_ASSERT_EQUAL_FATAL(mailbox_take_all(mailbox, MAILBOX_SLOT, count - 5, &hole), 0);
	CU_ASSERT_EQUAL(hole, 5);
	mailbox_put(mailbox, MAILBOX_SLOT, 1, 2);
	mailbox_put(mailbox, MAILBOX_SLOT, 6, 3);
	CU_ASSERT_EQUAL(mailbox_take_all(mailbox, MAILBOX_SLOT, 4, &hole), -ENOSPC);
	CU_ASSERT_EQUAL_FATAL(mailbox_take_all(mailbox, MAILBOX_SLOT, 3, &hole), 0);
	CU_ASSERT_EQUAL(hole, 6);
	CU_ASSERT_EQUAL_FATAL(mailbox_take_all(mailbox, MAILBOX_SLOT, 2, &hole), 0);
	CU_ASSERT_EQUAL(hole, 1);
	mailbox_put(mailbox, MAILBOX_SLOT, 0, count);
}

/* What is in them */

static void test_written(void)
{
	struct kvm_create_guest_memfd create = {.size = 0x123000, .flags = 3, .reserved = {9, 8}};
	struct kvm_userspace_memory_region2 slot = {.slot = 5,
		.flags = 4,
		.guest_phys_addr = 0x1000,
		.memory_size = 0x2000,
		.userspace_addr = 0x3000,
		.guest_memfd_offset = 0x4000,
		.guest_memfd = 17,
		.pad2 = {[13] = 99}};
	struct kvm_memory_attributes attributes = {.address = 0x1000,
		.size = 0x2000,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.flags = 77};
	struct kvm_userspace_memory_region2 read;
	unsigned entries[MAILBOX_COMMANDS];

	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++)
		CU_ASSERT_EQUAL_FATAL(mailbox_take(mailbox, i, 1, &entries[i]), 1);
	mailbox_write_create(mailbox, entries[MAILBOX_CREATE], &create);
	mailbox_write_slot(mailbox, entries[MAILBOX_SLOT], &slot);
	mailbox_write_attributes(mailbox, entries[MAILBOX_ATTRIBUTES], &attributes);
	CU_ASSERT_EQUAL(
		memcmp(entry_view(MAILBOX_CREATE, entries[MAILBOX_CREATE]), &create, sizeof create),
		0);
	CU_ASSERT_EQUAL(
		memcmp(entry_view(MAILBOX_SLOT, entries[MAILBOX_SLOT]), &slot, sizeof slot), 0);
	mailbox_read_slot(mailbox, entries[MAILBOX_SLOT], &read);
	CU_ASSERT_EQUAL(memcmp(&read, &slot, sizeof slot), 0);
	CU_ASSERT_EQUAL(memcmp(entry_view(MAILBOX_ATTRIBUTES, entries[MAILBOX_ATTRIBUTES]),
				&attributes, sizeof attributes),
		0);
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++)
		mailbox_put(mailbox, i, entries[i], 1);
}

/* Each entry, given to the real ioctl as a VMM would; elsewhere in memory, for there is no gate
 * here. */
static void refuse_entries(int vm, unsigned command)
{
	uint32_t request = mailbox_area(command).request;

	for (unsigned entry = 0; entry < count_of(command); entry++) {
		int r = ioctl(vm, request, entry_view(command, entry)) < 0 ? -errno : 0;

		UNIT_ASSERT_ROW(r == -EINVAL, "command %u entry %u: %d", command, entry, r);
	}
}

static void write_all(unsigned command, unsigned entry)
{
	struct kvm_create_guest_memfd create = {.size = page_size()};
	struct kvm_userspace_memory_region2 slot = {.slot = entry % 16,
		.guest_phys_addr = entry * page_size(),
		.memory_size = page_size(),
		.userspace_addr = 0x40000000};
	struct kvm_memory_attributes attributes = {.size = page_size()};

	if (command == MAILBOX_CREATE)
		mailbox_write_create(mailbox, entry, &create);
	else if (command == MAILBOX_SLOT)
		mailbox_write_slot(mailbox, entry, &slot);
	else
		mailbox_write_attributes(mailbox, entry, &attributes);
}

/* A VM with private memory has all three ioctls; one of the default type lacks the third on some
 * kernels. */
static bool any_vm_or_skip(int *ret_vm)
{
	if (vm_or_skip(/* sw_protected */ 1, ret_vm))
		return true;
	if (!vm_or_skip(0, ret_vm))
		return false;
	unit_skip(""); /* taken back */
	return true;
}

static void test_free_entries_are_refused(void)
{
	cleanup_fd int vm = -1;

	if (!any_vm_or_skip(&vm))
		return;
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		if (i != MAILBOX_ATTRIBUTES ||
			ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) > 0)
			refuse_entries(vm, i);
	}
}

/* Written, used, given back: refused again. */
static void test_entries_given_back_are_refused(void)
{
	cleanup_fd int vm = -1;
	unsigned entry;
	int r;

	if (!any_vm_or_skip(&vm))
		return;
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		if (i == MAILBOX_ATTRIBUTES &&
			ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) <= 0)
			continue;
		for (unsigned turn = 0; turn < count_of(i); turn++) {
			CU_ASSERT_EQUAL(mailbox_take(mailbox, i, 1, &entry), 1);
			write_all(i, entry);
			r = ioctl(vm, mailbox_area(i).request, entry_view(i, entry));
			UNIT_ASSERT_ROW(turn > 0 || r >= 0, "command %u: %d", i, errno);
			if (i == MAILBOX_CREATE)
				fd_close(r);
			mailbox_put(mailbox, i, entry, 1);
		}
		refuse_entries(vm, i);
	}
}

/* Its file */

static void try_to_write(int fd)
{
	char byte = 0;

	CU_ASSERT_EQUAL(write(fd, &byte, 1), -1);
	CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, 64), -1);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), -1);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)mailbox_length(mailbox) + 1), -1);
	CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096), -1);
	CU_ASSERT_EQUAL(fallocate(fd, 0, 0, (off_t)mailbox_length(mailbox) * 2), -1);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	CU_ASSERT_EQUAL(
		mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void try_through_a_mapping(int fd)
{
	void *bytes = mmap(NULL, mailbox_length(mailbox), PROT_READ, MAP_SHARED, fd, 0);

	CU_ASSERT_NOT_EQUAL_FATAL(bytes, MAP_FAILED);
	CU_ASSERT_EQUAL(mprotect(bytes, page_size(), PROT_READ | PROT_WRITE), -1);
	CU_ASSERT_EQUAL(madvise(bytes, page_size(), MADV_REMOVE), -1);
	CU_ASSERT_EQUAL(madvise(bytes, page_size(), MADV_DONTNEED), 0);
	munmap(bytes, mailbox_length(mailbox));
}

static int reopen(int flags)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", mailbox_fd(mailbox));
	return open(path, flags | O_CLOEXEC);
}

static void test_read_only(void)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = mailbox_fd(mailbox);

	CU_ASSERT_EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(fcntl(fd, F_GET_SEALS) & seals, seals);
	try_to_write(fd);
	try_through_a_mapping(fd);
}

/* root may open it writable; the seals still hold. */
static void test_writer_alone(void)
{
	struct mailbox *kept = mailbox, *alone;
	int seals, fd;

	CU_ASSERT_EQUAL_FATAL(mailbox_new("mailbox", MAILBOX_WRITER_ALONE, &alone), 0);
	seals = fcntl(mailbox_fd(alone), F_GET_SEALS);
	CU_ASSERT_TRUE(seals & F_SEAL_FUTURE_WRITE);
	mailbox = alone;
	fd = reopen(O_RDWR);
	if (fd >= 0) {
		try_to_write(fd);
		try_through_a_mapping(fd);
		fd_close(fd);
	} else {
		CU_ASSERT_EQUAL(errno, EACCES);
	}
	mailbox = kept;
	mailbox_free(alone);
}

/* As a successor does, who finds what waits there and may write the rest. */
/* Nobody can open it for writing, whoever that is; a successor that is given it writes it. */
static void test_fixed(void)
{
	struct mailbox *successor;

	if (mailbox_fix(mailbox) < 0) {
		unit_skip("no CAP_LINUX_IMMUTABLE");
		return;
	}
	CU_ASSERT_TRUE(mailbox_is_fixed(mailbox));
	CU_ASSERT_EQUAL(reopen(O_RDWR), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_EQUAL(fchmod(mailbox_fd(mailbox), 0666), -1);
	try_to_write(mailbox_fd(mailbox));
	try_through_a_mapping(mailbox_fd(mailbox));
	CU_ASSERT_EQUAL_FATAL(mailbox_open(dup(mailbox_write_fd(mailbox)), &successor), 0);
	mailbox_free(successor);
	CU_ASSERT_EQUAL_FATAL(mailbox_reopen(mailbox_fd(mailbox), &successor), 0);
	CU_ASSERT_FALSE(mailbox_is_fixed(successor));
	CU_ASSERT_EQUAL(mailbox_fix(successor), 0);
	CU_ASSERT_EQUAL(reopen(O_RDWR), -1);
	mailbox_free(successor);
}

static void test_opened_again(void)
{
	const struct kvm_create_guest_memfd wanted = {.size = 3 * 4096}, other = {.size = 5 * 4096};
	unsigned kept = 0, dropped = 0, entry = 0;
	struct mailbox *successor;

	CU_ASSERT_EQUAL(mailbox_take(mailbox, MAILBOX_CREATE, 1, &dropped), 1);
	CU_ASSERT_EQUAL(mailbox_take(mailbox, MAILBOX_CREATE, 1, &kept), 1);
	mailbox_write_create(mailbox, dropped, &other);
	mailbox_write_create(mailbox, kept, &wanted);
	CU_ASSERT_EQUAL_FATAL(
		mailbox_open(fcntl(mailbox_write_fd(mailbox), F_DUPFD_CLOEXEC, 3), &successor), 0);
	mailbox_claim(successor, MAILBOX_CREATE, kept, 1);
	mailbox_clear_free(successor);
	CU_ASSERT_EQUAL(mailbox_made(successor), mailbox_made(mailbox));
	CU_ASSERT_EQUAL(memcmp(view + kept * 64, &wanted, sizeof wanted), 0);
	CU_ASSERT_TRUE(*(const int64_t *)(view + dropped * 64) < 0);
	CU_ASSERT_EQUAL(mailbox_free_entries(successor, MAILBOX_CREATE),
		mailbox_free_entries(mailbox, MAILBOX_CREATE) + 1);
	CU_ASSERT_EQUAL(mailbox_take(successor, MAILBOX_CREATE, 64, &entry), (int)kept);
	mailbox_write_create(successor, entry, &other);
	CU_ASSERT_EQUAL(memcmp(view + entry * 64, &other, sizeof other), 0);
	mailbox_free(successor);
}

/* Entries of each command, the last ones of their pages: all are found, and no page is made. */
static void test_cleared_where_pages_are(void)
{
	const struct kvm_userspace_memory_region2 slot = {.slot = 7, .memory_size = 4096};
	const struct kvm_memory_attributes attributes = {.size = 4096};
	const unsigned last_slot = 15, last_attributes = 4 * 128 - 1;
	struct mailbox *successor;
	uint64_t before, after;
	const int64_t *first;

	mailbox_write_slot(mailbox, last_slot, &slot);
	mailbox_write_attributes(mailbox, last_attributes, &attributes);
	CU_ASSERT_EQUAL_FATAL(memory_file_resident(mailbox_write_fd(mailbox), &before), 0);
	CU_ASSERT_EQUAL_FATAL(
		mailbox_open(fcntl(mailbox_write_fd(mailbox), F_DUPFD_CLOEXEC, 3), &successor), 0);
	CU_ASSERT_EQUAL(mailbox_claim(successor, MAILBOX_ATTRIBUTES, last_attributes - 1, 1), 0);
	mailbox_write_attributes(successor, last_attributes - 1, &attributes);
	CU_ASSERT_EQUAL(mailbox_clear_free(successor), 0);
	CU_ASSERT_EQUAL(memory_file_resident(mailbox_write_fd(mailbox), &after), 0);
	CU_ASSERT_EQUAL(after, before);
	first = (const int64_t *)entry_view(MAILBOX_SLOT, last_slot);
	CU_ASSERT_EQUAL(*first, -1);
	first = (const int64_t *)entry_view(MAILBOX_ATTRIBUTES, last_attributes);
	CU_ASSERT_EQUAL(*first, -1);
	first = (const int64_t *)entry_view(MAILBOX_ATTRIBUTES, last_attributes - 1);
	CU_ASSERT_EQUAL(*first, 0);
	mailbox_free(successor);
}

/* Mappings of the mailbox's file in this process. */
static unsigned mappings(void)
{
	cleanup_file FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	while (maps && fgets(line, sizeof line, maps))
		count += strstr(line, "/memfd:mailbox") != NULL;
	return count;
}

/* Who only looks maps nothing; nothing that is free stays valid, wherever it is, and no page is
 * made. */
static void test_cleared_without_mapping(void)
{
	const struct kvm_memory_attributes attributes = {.size = 4096};
	unsigned before = mappings(), entry;
	struct mailbox *successor;
	const unsigned last = 16 * 128 - 1;

	CU_ASSERT_EQUAL_FATAL(
		mailbox_open(fcntl(mailbox_write_fd(mailbox), F_DUPFD_CLOEXEC, 3), &successor), 0);
	CU_ASSERT_EQUAL(mailbox_clear_free(successor), 0);
	CU_ASSERT_EQUAL(mappings(), before);
	mailbox_write_attributes(mailbox, last, &attributes);
	CU_ASSERT_EQUAL(mailbox_clear_free(successor), 0);
	CU_ASSERT_EQUAL(mappings(), before + 1);
	CU_ASSERT_EQUAL(*(const int64_t *)entry_view(MAILBOX_ATTRIBUTES, last), -1);
	CU_ASSERT_EQUAL(mailbox_take(successor, MAILBOX_SLOT, 1, &entry), 1);
	mailbox_free(successor);
}

/* Whoever takes one of a predecessor's entries finds all others cleared, though nobody has asked
 * for that. */
static void test_cleared_when_taken(void)
{
	const struct kvm_create_guest_memfd left = {.size = 4096};
	struct mailbox *successor;
	unsigned entry;

	for (int all = 0; all < 2; all++) {
		int fd = fcntl(mailbox_write_fd(mailbox), F_DUPFD_CLOEXEC, 3), r;

		mailbox_write_create(mailbox, 5, &left);
		CU_ASSERT_EQUAL_FATAL(mailbox_open(fd, &successor), 0);
		CU_ASSERT_EQUAL(*(const int64_t *)entry_view(MAILBOX_CREATE, 5), 4096);
		r = all ? mailbox_take_all(successor, MAILBOX_ATTRIBUTES, 2, &entry)
			: mailbox_take(successor, MAILBOX_SLOT, 1, &entry) - 1;
		CU_ASSERT_EQUAL(r, 0);
		CU_ASSERT_EQUAL(*(const int64_t *)entry_view(MAILBOX_CREATE, 5), -1);
		mailbox_free(successor);
	}
}

static void test_opened_again_refused(void)
{
	struct mailbox *successor = NULL;
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CU_ASSERT_EQUAL(mailbox_open(fd, &successor), -EBADMSG);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)mailbox_length(mailbox)), 0);
	CU_ASSERT_EQUAL(mailbox_open(fd, &successor), -EBADMSG);
	CU_ASSERT_PTR_NULL(successor);
	close(fd);
}

static void reopen_unprivileged(void *context)
{
	const int modes[] = {O_WRONLY, O_RDWR, O_RDWR | O_TRUNC, O_WRONLY | O_APPEND};

	(void)context;
	/* Who made the mailbox may do more, as its file's owner. */
	if (getuid() == UNPRIVILEGED_UID ||
		setresuid(UNPRIVILEGED_UID, UNPRIVILEGED_UID, UNPRIVILEGED_UID) < 0) {
		unit_skip("not permitted to become another user");
		return;
	}
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		CU_ASSERT_EQUAL(reopen(modes[i]), -1);
		CU_ASSERT_EQUAL(errno, EACCES);
	}
	CU_ASSERT_EQUAL(fchmod(mailbox_fd(mailbox), 0666), -1);
	try_to_write(mailbox_fd(mailbox));
	try_through_a_mapping(mailbox_fd(mailbox));
}

static void test_reopened_unprivileged(void)
{
	unit_in_child(reopen_unprivileged, NULL);
}

static void check_note(int fd, const char *expected)
{
	char note[MAILBOX_NOTE_SIZE] = "";

	CU_ASSERT_EQUAL(mailbox_read_note(fd, note), 0);
	CU_ASSERT_STRING_EQUAL(note, expected);
}

/* What was written last counts, and a copy that is not whole does not; no entry has changed. */
static void test_note(void)
{
	char note[MAILBOX_NOTE_SIZE], long_note[2 * MAILBOX_NOTE_SIZE] = "";
	unsigned char entry[sizeof(struct kvm_userspace_memory_region2)];
	unsigned char spoiled = 'x';
	int fd = mailbox_fd(mailbox);
	off_t second = (off_t)(mailbox_entry_address(mailbox, MAILBOX_SLOT, 1) -
			       mailbox_address(mailbox) + sizeof entry + 2 * sizeof(uint64_t));

	CU_ASSERT_EQUAL(mailbox_read_note(fd, note), -ENOENT);
	memcpy(entry, entry_view(MAILBOX_SLOT, 0), sizeof entry);
	mailbox_write_note(mailbox, "gold");
	check_note(fd, "gold");
	mailbox_write_note(mailbox, "silver");
	check_note(fd, "silver");
	CU_ASSERT_EQUAL(pwrite(mailbox_write_fd(mailbox), &spoiled, 1, second), 1);
	check_note(fd, "gold");
	mailbox_write_note(mailbox, "");
	check_note(fd, "");
	memset(long_note, 'n', sizeof long_note - 1);
	mailbox_write_note(mailbox, long_note);
	long_note[MAILBOX_NOTE_SIZE - 1] = '\0';
	check_note(fd, long_note);
	CU_ASSERT_EQUAL(memcmp(entry, entry_view(MAILBOX_SLOT, 0), sizeof entry), 0);
}

/* The highest counts; no entry has changed, and no note. */
static void test_generation(void)
{
	unsigned char entry[sizeof(struct kvm_userspace_memory_region2)];
	int fd = mailbox_fd(mailbox);

	memcpy(entry, entry_view(MAILBOX_SLOT, 0), sizeof entry);
	mailbox_write_note(mailbox, "gold");
	mailbox_write_note(mailbox, "silver");
	CU_ASSERT_EQUAL(mailbox_read_generation(fd), 0);
	mailbox_note_generation(mailbox, 0);
	CU_ASSERT_EQUAL(mailbox_read_generation(fd), 0);
	mailbox_note_generation(mailbox, 7);
	mailbox_note_generation(mailbox, 6);
	CU_ASSERT_EQUAL(mailbox_read_generation(fd), 7);
	mailbox_note_generation(mailbox, UINT32_MAX);
	CU_ASSERT_EQUAL(mailbox_read_generation(fd), UINT32_MAX);
	check_note(fd, "silver");
	CU_ASSERT_EQUAL(memcmp(entry, entry_view(MAILBOX_SLOT, 0), sizeof entry), 0);
}

static void test_identity(void)
{
	struct file_identity own = mailbox_identity(mailbox), seen;
	struct mailbox *other;
	uint64_t size;

	CU_ASSERT_EQUAL(file_identity_of(mailbox_fd(mailbox), &seen), 0);
	CU_ASSERT_EQUAL(file_identity_compare(&own, &seen), 0);
	CU_ASSERT_EQUAL(memory_file_size(mailbox_fd(mailbox), &size), 0);
	CU_ASSERT_EQUAL(size, mailbox_length(mailbox));
	CU_ASSERT_EQUAL_FATAL(mailbox_new("mailbox", MAILBOX_WRITER_SUCCESSORS, &other), 0);
	seen = mailbox_identity(other);
	CU_ASSERT_NOT_EQUAL(file_identity_compare(&own, &seen), 0);
	CU_ASSERT_EQUAL(mailbox_address(other), mailbox_address(mailbox));
	mailbox_free(other);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The kernel's time of files lags behind by a tick at most. */
static void test_made(void)
{
	const uint64_t tick_us = 20000;
	uint64_t before = now_us();
	struct mailbox *other;

	CU_ASSERT_EQUAL_FATAL(mailbox_new("mailbox", MAILBOX_WRITER_SUCCESSORS, &other), 0);
	CU_ASSERT_TRUE(mailbox_made(other) + tick_us >= before);
	CU_ASSERT_TRUE(mailbox_made(other) <= now_us());
	mailbox_free(other);
}

static void test_free(void)
{
	size_t before = unit_open_fds();
	struct mailbox *other;

	CU_ASSERT_PTR_NULL(mailbox_free(NULL));
	CU_ASSERT_EQUAL_FATAL(mailbox_new("mailbox", MAILBOX_WRITER_SUCCESSORS, &other), 0);
	CU_ASSERT_EQUAL(unit_open_fds(), before + 2);
	CU_ASSERT_PTR_NULL(mailbox_free(other));
	CU_ASSERT_EQUAL(unit_open_fds(), before);
}

/* Each test begins with a fresh mailbox. */
static void set_up(void)
{
	if (mailbox_new("mailbox", MAILBOX_WRITER_SUCCESSORS, &mailbox) < 0)
		abort();
	view = mmap(NULL, mailbox_length(mailbox), PROT_READ, MAP_SHARED, mailbox_fd(mailbox), 0);
	if (view == MAP_FAILED)
		abort();
}

static void tear_down(void)
{
	munmap((void *)view, mailbox_length(mailbox));
	mailbox = mailbox_free(mailbox);
}

int main(void)
{
	CU_TestInfo entries[] = {
		{"areas are whole pages of their own", test_areas},
		{"addresses", test_entry_addresses},
		{"all taken", test_all_taken},
		{"reused in turn", test_reused_in_turn},
		{"runs of entries", test_runs},
		{"whole runs of entries", test_whole_runs},
		{"what is written", test_written},
		{"free ones are refused by the kernel", test_free_entries_are_refused},
		{"given back ones are refused by the kernel", test_entries_given_back_are_refused},
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo file[] = {
		{"read-only", test_read_only},
		{"nobody else's to write", test_writer_alone},
		{"opened again by a successor", test_opened_again},
		{"cleared where it has pages", test_cleared_where_pages_are},
		{"cleared without being mapped", test_cleared_without_mapping},
		{"cleared when one is taken", test_cleared_when_taken},
		{"no mailbox", test_opened_again_refused},
		{"fixed", test_fixed},
		{"opened again by another user", test_reopened_unprivileged},
		{"its note", test_note},
		{"the generation of calls", test_generation},
		{"identity", test_identity},
		{"when it was made", test_made},
		{"freed", test_free},
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{.pName = "mailbox entries",
			.pSetUpFunc = set_up,
			.pTearDownFunc = tear_down,
			.pTests = entries},
		{.pName = "mailbox file",
			.pSetUpFunc = set_up,
			.pTearDownFunc = tear_down,
			.pTests = file},
		CU_SUITE_INFO_NULL,
	};

	return unit_main(suites);
}
