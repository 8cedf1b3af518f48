#!/bin/sh
# A VMM's core has the guest's memory where that is a memfd, and not where it is a guest_memfd, though both are mapped and written alike:
# of coredump_filter a memfd is under "anonymous shared" (bit 1), which is set by default, and a guest_memfd under "file-backed shared"
# (bit 3), which is not. MADV_DODUMP changes nothing of that; only the filter does, of the whole process. (The kernel takes a file that
# has no name left for anonymous: a memfd has none from the start, and the inode of a guest_memfd has one link that nobody can see.)
#
# Seen on:   Linux 6.18.44.
# Expected:  core(5) has file-backed mappings as those whose content is in a file anyway, to be had without the core. /proc/PID/maps shows
#            a guest_memfd as "anon_inode:", no path leads to it, and its content is gone with the VM: it is as anonymous as a memfd.
# Output seen: as in "expected" below: whether the core is as large as 16 MiB that the program has mapped and written.
#
# Needs: /dev/kvm, cc, cores that are written as files where the program runs (kernel.core_pattern without path or pipe). Exit status: 0 as
# found, 1 changed, 77 can't be tried here.
set -eu

exec 3>&1
skip() {
	echo "skipped: $1" >&3
	exit 77
}

[ -w /dev/kvm ] || skip "no /dev/kvm"
case "$(cat /proc/sys/kernel/core_pattern)" in
'' | */* | '|'* | @*) skip "cores go elsewhere (kernel.core_pattern)" ;;
esac
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
#include <sys/resource.h>
#include <unistd.h>

#define SIZE (16ul << 20)

struct create_memory { /* struct kvm_create_guest_memfd of Linux 6.8 */
	uint64_t size, flags, reserved[6];
};
#define CREATE_MEMORY	_IOWR(KVMIO, 0xd4, struct create_memory)
#define MMAP_AND_SHARED 3 /* GUEST_MEMFD_FLAG_MMAP and _INIT_SHARED, Linux 6.18 */

static int make_guest_memfd(void)
{
	struct create_memory create = {.size = SIZE, .flags = MMAP_AND_SHARED};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul);

	return vm < 0 ? -1 : ioctl(vm, CREATE_MEMORY, &create);
}

static int make_memfd(void)
{
	int memory = memfd_create("finding", MFD_CLOEXEC);

	return memory < 0 || ftruncate(memory, SIZE) ? -1 : memory;
}

static void set_filter(const char *filter)
{
	FILE *file = fopen("/proc/self/coredump_filter", "we");

	if (!file || fputs(filter, file) < 0 || fclose(file))
		exit(2);
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int memory = strcmp(argv[1], "memfd") == 0 ? make_memfd() : make_guest_memfd();
	void *mapping = memory < 0 ? MAP_FAILED : mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	if (argc != 3 || mapping == MAP_FAILED)
		return 77;
	memset(mapping, 1, SIZE);
	madvise(mapping, SIZE, MADV_DODUMP);
	set_filter(argv[2]);
	if (setrlimit(RLIMIT_CORE, &unlimited))
		return 2;
	abort();
}
END
cat >"$folder/expected" <<'END'
memfd, filter 0x33: the core has it
memfd, filter 0x3b: the core has it
guest_memfd, filter 0x33: the core is without it
guest_memfd, filter 0x3b: the core has it
END

cc -O1 -Wall -o "$folder/program" "$folder/program.c"
cd "$folder"

# Its end is no news to the shell.
run() { (./program "$@") 2>/dev/null || return $?; }

for memory in memfd guest_memfd; do
	for filter in 0x33 0x3b; do # the default, and with file-backed shared mappings
		status=0
		run $memory $filter || status=$?
		[ "$status" != 77 ] || skip "KVM makes no guest_memfd that can be mapped here (Linux 6.18)"
		set -- core*
		[ -f "$1" ] || skip "no core is written here"
		if [ "$(stat -c %s "$1")" -ge 16777216 ]; then what='the core has it'; else what='the core is without it'; fi
		echo "$memory, filter $filter: $what"
		rm -f core*
	done
done >seen
echo "Linux $(uname -r)"
cat seen
if diff -u expected seen; then
	echo "as found"
else
	echo "changed: what differs is above"
	exit 1
fi
