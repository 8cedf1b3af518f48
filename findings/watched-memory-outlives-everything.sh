#!/bin/sh
# An inotify watch keeps the pages of a guest_memfd: after the last descriptor, the last mapping and the VM are gone they stay
# allocated, and charged to their memory cgroup, until the watch or its inotify instance goes. The same watch on a memfd holds nothing,
# and neither is ever told of an allocation or a hole that is punched, which fallocate(2) on a file of tmpfs would tell (IN_MODIFY).
#
# Seen on:   Linux 6.18.44, KVM with KVM_CAP_GUEST_MEMFD, cgroup v1.
# Expected:  that closing all frees all. Documentation/virt/kvm/api.rst says of KVM_CREATE_GUEST_MEMFD that it is much like
#            memfd_create(2), and inotify(7) that a watch ends with the deletion of what it watches. But an inode that is watched is
#            held by its mark until its last link is gone: a memfd has none from the start (st_nlink 0), a guest_memfd keeps one for
#            ever (st_nlink 1). No list of descriptors, mappings or VMs shows the pages; /proc/PID/fdinfo of the instance shows the
#            inode's number.
# Output seen: as in "expected" below.
#
# Needs: root, /dev/kvm, a memory cgroup (v1 or v2), cc. Exit status: 0 as found, 1 changed, 77 can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

[ "$(id -u)" = 0 ] || skip "only root can make a cgroup"
[ -w /dev/kvm ] || skip "no /dev/kvm"
command -v cc >/dev/null || skip "no C compiler"

usage=memory.usage_in_bytes
base=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
if [ -z "$base" ]; then
	usage=memory.current
	base=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	grep -qsw memory "$base/cgroup.subtree_control" || skip "no memory cgroup"
fi

folder=$(mktemp -d)
group=$base/finding-watch-$$
trap 'rm -rf "$folder"; if [ -d "$group" ]; then rmdir "$group"; fi' EXIT
trap 'exit 1' INT TERM
mkdir "$group" || skip "no cgroup can be made in $base"

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define SIZE (64 * MIB)

struct create_memory { /* struct kvm_create_guest_memfd of Linux 6.8 */
	uint64_t size, flags, reserved[6];
};
#define CREATE_MEMORY _IOWR(KVMIO, 0xd4, struct create_memory)

static const char *usage_path;

/* In steps of 64 MiB: the kernel charges a little in advance. */
static unsigned long charged(void)
{
	unsigned long bytes = 0;
	FILE *file = fopen(usage_path, "r");

	if (!file || fscanf(file, "%lu", &bytes) != 1)
		exit(2);
	fclose(file);
	return (bytes + SIZE / 2) / SIZE * 64;
}

/* What was freed may be given back a moment later. */
static unsigned long charged_at_last(unsigned long wanted)
{
	for (int i = 0; i < 600 && charged() != wanted; i++)
		usleep(100000);
	return charged();
}

static void watch_it(const char *name, int memory, int vm, unsigned long left)
{
	struct stat status;
	char path[64], events[4096];
	int watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
	if (fstat(memory, &status) || inotify_add_watch(watcher, path, IN_MODIFY) < 0)
		exit(2);
	if (fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, SIZE))
		exit(2);
	printf("%s: st_nlink %lu, %lu MiB are charged, events: %s\n", name, (unsigned long)status.st_nlink,
		charged_at_last(64), read(watcher, events, sizeof events) > 0 ? "some" : "none");
	close(memory);
	if (vm >= 0)
		close(vm);
	sleep(1);
	printf("%s: everything is closed, the watch is left: %lu MiB\n", name, charged_at_last(left));
	close(watcher);
	printf("%s: the watch is gone: %lu MiB\n", name, charged_at_last(0));
}

int main(int argc, char **argv)
{
	struct create_memory create = {.size = SIZE};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul), memory;

	usage_path = argv[argc - 1];
	memory = vm < 0 ? -1 : ioctl(vm, CREATE_MEMORY, &create);
	if (memory < 0) {
		puts("KVM makes no guest_memfd here");
		return 77;
	}
	watch_it("guest_memfd", memory, vm, /* left= */ 64);
	memory = memfd_create("finding", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, SIZE))
		return 2;
	watch_it("memfd", memory, -1, /* left= */ 0);
	return 0;
}
END
cat >"$folder/expected" <<'END'
guest_memfd: st_nlink 1, 64 MiB are charged, events: none
guest_memfd: everything is closed, the watch is left: 64 MiB
guest_memfd: the watch is gone: 0 MiB
memfd: st_nlink 0, 64 MiB are charged, events: none
memfd: everything is closed, the watch is left: 0 MiB
memfd: the watch is gone: 0 MiB
END

cc -O1 -Wall -o "$folder/program" "$folder/program.c"
status=0
(
	sh -c "echo \$PPID" >"$group/cgroup.procs"
	exec "$folder/program" "$group/$usage"
) >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "$(cat "$folder/seen")"
echo "Linux $(uname -r)"
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
