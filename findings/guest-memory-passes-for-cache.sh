#!/bin/sh
# Memory of a guest_memfd is "Cached" in /proc/meminfo and in none of the fields by which cache is told from memory that stays: not in Shmem,
# as a memfd's is, nor in AnonPages or Mlocked. What reckons use as total - free - buffers - cached + shmem, as many tools do, sees a
# host full of guests as an empty one; only Unevictable has it. Nor is it in Committed_AS: what strict overcommit
# (vm.overcommit_memory=2) may refuse of a memfd, it never refuses of a guest_memfd.
#
# Seen on:   Linux 6.18.44.
# Expected:  proc_meminfo(5) has Cached as the cache of files read from disk, and Committed_AS as all that is allocated, whether
#            used yet or not. A guest_memfd is on no disk, and it is allocated as a memfd is; free(1) has a column for such memory.
# Output seen: as in "expected" below: how much of 1 GiB that is allocated, and mapped by nobody, each field grows by.
#
# Needs: /dev/kvm, 2 GiB of memory, cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

[ -w /dev/kvm ] || skip "no /dev/kvm"
[ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" -ge 2097152 ] || skip "less than 2 GiB of memory are available"
command -v cc >/dev/null || skip "no C compiler"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE   (1ul << 30)
#define FIELDS 6

struct create_memory { /* struct kvm_create_guest_memfd of Linux 6.8 */
	uint64_t size, flags, reserved[6];
};
#define CREATE_MEMORY _IOWR(KVMIO, 0xd4, struct create_memory)

static const char *const names[FIELDS] = {
	"Cached", "Shmem", "AnonPages", "Mlocked", "Unevictable", "Committed_AS"};

static void read_fields(long kibibytes[FIELDS])
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128], name[64];
	long value;

	if (!file)
		exit(2);
	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "%63[^:]: %ld", name, &value) != 2)
			continue;
		for (unsigned i = 0; i < FIELDS; i++) {
			if (strcmp(name, names[i]) == 0)
				kibibytes[i] = value;
		}
	}
	fclose(file);
}

/* Others use memory meanwhile: what is near to all, or to nothing, is taken for it. */
static const char *part_of_it(long kibibytes)
{
	long percent = labs(kibibytes) * 100 / (long)(SIZE / 1024);

	return percent >= 75 && percent <= 125 ? "all" : percent <= 25 ? "none" : "a part";
}

static void try_memory(const char *name, int memory)
{
	long before[FIELDS] = {0}, after[FIELDS] = {0};

	read_fields(before);
	if (fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, SIZE))
		exit(2);
	read_fields(after);
	printf("%s:", name);
	for (unsigned i = 0; i < FIELDS; i++)
		printf(" %s %s%s", names[i], part_of_it(after[i] - before[i]), i + 1 < FIELDS ? "," : "\n");
	close(memory);
}

int main(void)
{
	struct create_memory create = {.size = SIZE};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul), memory;
	int guest_memory = vm < 0 ? -1 : ioctl(vm, CREATE_MEMORY, &create);

	if (guest_memory < 0) {
		puts("KVM makes no guest_memfd here");
		return 77;
	}
	memory = memfd_create("finding", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, SIZE))
		return 2;
	try_memory("guest_memfd", guest_memory);
	try_memory("memfd", memory);
	return 0;
}
END
cat >"$folder/expected" <<'END'
guest_memfd: Cached all, Shmem none, AnonPages none, Mlocked none, Unevictable all, Committed_AS none
memfd: Cached all, Shmem all, AnonPages none, Mlocked none, Unevictable none, Committed_AS all
END

cc -O1 -Wall -o "$folder/program" "$folder/program.c"
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
