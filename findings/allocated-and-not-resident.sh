#!/bin/sh
# Three ways to ask how much of a memory file is allocated give three answers. After fallocate(2) mincore(2) has none of it resident,
# with memfd and guest_memfd alike: it counts pages that are zeroed, which these are at the first touch. st_blocks is right for a memfd
# and always 0 for a guest_memfd. cachestat(2) is right for both. MADV_DONTNEED on the mapping returns 0 and frees nothing of
# either; MADV_REMOVE does.
#
# Seen on:   Linux 6.18.44.
# Expected:  mincore(2) promises whether a page is in memory, so that no access to it causes I/O: these are, and none does. st_blocks is
#            what is allocated, by stat(2), and du(1) builds on it. That cachestat(2), which is about the page cache of files on disk,
#            is the exact one for memory that no disk backs, one finds by trying.
# Output seen: as in "expected" below, in pages.
#
# Needs: /dev/kvm, cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

[ -w /dev/kvm ] || skip "no /dev/kvm"
command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES 256ul
#define PAGE  4096ul

struct create_memory { /* struct kvm_create_guest_memfd of Linux 6.8 */
	uint64_t size, flags, reserved[6];
};
#define CREATE_MEMORY  _IOWR(KVMIO, 0xd4, struct create_memory)
#define MMAP_AND_SHARED 3 /* GUEST_MEMFD_FLAG_MMAP and _INIT_SHARED, Linux 6.18 */

static void show(const char *when, int memory, unsigned char *mapping)
{
	uint64_t range[2] = {0, 0}, counts[5] = {0};
	unsigned char pages[PAGES];
	unsigned resident = 0;
	struct stat status;

	if (mincore(mapping, PAGES * PAGE, pages) || fstat(memory, &status))
		exit(2);
	if (syscall(451 /* cachestat, Linux 6.5 */, memory, range, counts, 0))
		exit(2);
	for (unsigned i = 0; i < PAGES; i++)
		resident += pages[i] & 1;
	printf("  %s: mincore %u, st_blocks %lu, cachestat %lu\n", when, resident,
		(unsigned long)status.st_blocks / (PAGE / 512), (unsigned long)counts[0]);
}

static void try_memory(const char *name, int memory)
{
	unsigned char *mapping =
		mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	printf("%s\n", name);
	if (mapping == MAP_FAILED)
		exit(2);
	show("new", memory, mapping);
	if (fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, PAGES * PAGE))
		exit(2);
	show("fallocate", memory, mapping);
	for (unsigned long i = 0; i < PAGES / 2; i++)
		mapping[i * PAGE] = 1;
	show("half of it touched", memory, mapping);
	printf("  MADV_DONTNEED: %d\n", madvise(mapping, PAGES * PAGE, MADV_DONTNEED));
	show("after it", memory, mapping);
	printf("  what was written: %d\n", mapping[0]);
	printf("  MADV_REMOVE of a quarter: %d\n", madvise(mapping, PAGES / 4 * PAGE, MADV_REMOVE));
	show("after it", memory, mapping);
	munmap(mapping, PAGES * PAGE);
	close(memory);
}

int main(void)
{
	struct create_memory create = {.size = PAGES * PAGE, .flags = MMAP_AND_SHARED};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul), memory;
	int guest_memory = vm < 0 ? -1 : ioctl(vm, CREATE_MEMORY, &create);

	if (guest_memory < 0) {
		puts("KVM makes no guest_memfd that can be mapped here (Linux 6.18)");
		return 77;
	}
	memory = memfd_create("finding", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, PAGES * PAGE))
		return 2;
	try_memory("guest_memfd", guest_memory);
	try_memory("memfd", memory);
	return 0;
}
END
cat >"$folder/expected" <<'END'
guest_memfd
  new: mincore 0, st_blocks 0, cachestat 0
  fallocate: mincore 0, st_blocks 0, cachestat 256
  half of it touched: mincore 128, st_blocks 0, cachestat 256
  MADV_DONTNEED: 0
  after it: mincore 128, st_blocks 0, cachestat 256
  what was written: 1
  MADV_REMOVE of a quarter: 0
  after it: mincore 64, st_blocks 0, cachestat 192
memfd
  new: mincore 0, st_blocks 0, cachestat 0
  fallocate: mincore 0, st_blocks 256, cachestat 256
  half of it touched: mincore 128, st_blocks 256, cachestat 256
  MADV_DONTNEED: 0
  after it: mincore 128, st_blocks 256, cachestat 256
  what was written: 1
  MADV_REMOVE of a quarter: 0
  after it: mincore 64, st_blocks 192, cachestat 192
END

cc -O1 -Wall -pthread -o "$folder/program" "$folder/program.c"
status=0
"$folder/program" >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "$(cat "$folder/seen")"
echo "Linux $(uname -r)"
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
