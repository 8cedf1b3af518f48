#!/bin/sh
# A page that fallocate(2) makes is charged to the memory cgroup of the owner of the caller's address space, and not to the caller's:
# a process that shares its parent's memory (CLONE_VM without CLONE_THREAD, as vfork(2) and posix_spawn(3) make them) and has moved
# to another cgroup still charges its parent's. So a helper that is to allocate for a cgroup must be forked, or exec first.
#
# Seen on:   Linux 6.18.44, guest_memfd and memfd, cgroup v1.
# Expected:  Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst name the cgroup that first touches a page or that has
#            it instantiated, and cgroups(7) has each process in a cgroup of its own. /proc/PID/cgroup of the helper says so, too.
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
first=$base/finding-parent-$$
second=$base/finding-helper-$$
clean_up() {
	rm -rf "$folder"
	[ ! -d "$first" ] || rmdir "$first"
	[ ! -d "$second" ] || rmdir "$second"
}
trap clean_up EXIT
trap 'exit 1' INT TERM
mkdir "$first" "$second" || skip "no cgroup can be made in $base"

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define SIZE (64 * MIB)

struct create_memory { /* struct kvm_create_guest_memfd of Linux 6.8 */
	uint64_t size, flags, reserved[6];
};
#define CREATE_MEMORY _IOWR(KVMIO, 0xd4, struct create_memory)

static const char *parent_group, *helper_group, *usage_name;
static int memory;

/* In steps of 64 MiB: the kernel charges a little in advance. */
static unsigned long charged(const char *group)
{
	unsigned long bytes = 0;
	char path[4096];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", group, usage_name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lu", &bytes) != 1)
		exit(2);
	fclose(file);
	return (bytes + SIZE / 2) / SIZE * 64;
}

static void enter(const char *group)
{
	char path[4096];
	int file;

	snprintf(path, sizeof path, "%s/cgroup.procs", group);
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0 || write(file, "0", 1) != 1)
		_exit(2);
	close(file);
}

static int allocate_elsewhere(void *unused)
{
	(void)unused;
	enter(helper_group);
	_exit(fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, SIZE) ? 3 : 0);
}

static void try_helper(const char *name, int flags)
{
	const int both = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
	char *stack = malloc(MIB);
	pid_t helper = clone(allocate_elsewhere, stack + MIB, flags | SIGCHLD, NULL);
	int status = -1;

	if (helper < 0 || waitpid(helper, &status, 0) != helper || status)
		exit(2);
	printf("%s: parent's cgroup %lu MiB, helper's %lu MiB\n", name, charged(parent_group),
		charged(helper_group));
	if (fallocate(memory, both, 0, SIZE))
		exit(2);
	for (int i = 0; i < 600 && charged(parent_group) + charged(helper_group); i++)
		usleep(100000);
	free(stack);
}

static void try_both(const char *kind)
{
	char name[64];

	snprintf(name, sizeof name, "%s, forked", kind);
	try_helper(name, 0);
	snprintf(name, sizeof name, "%s, CLONE_VM", kind);
	try_helper(name, CLONE_VM | CLONE_VFORK);
}

int main(int argc, char **argv)
{
	struct create_memory create = {.size = SIZE};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul);

	if (argc != 4)
		return 2;
	parent_group = argv[1];
	helper_group = argv[2];
	usage_name = argv[3];
	enter(parent_group);
	memory = vm < 0 ? -1 : ioctl(vm, CREATE_MEMORY, &create);
	if (memory < 0) {
		puts("KVM makes no guest_memfd here");
		return 77;
	}
	try_both("guest_memfd");
	memory = memfd_create("finding", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, SIZE))
		return 2;
	try_both("memfd");
	return 0;
}
END
cat >"$folder/expected" <<'END'
guest_memfd, forked: parent's cgroup 0 MiB, helper's 64 MiB
guest_memfd, CLONE_VM: parent's cgroup 64 MiB, helper's 0 MiB
memfd, forked: parent's cgroup 0 MiB, helper's 64 MiB
memfd, CLONE_VM: parent's cgroup 64 MiB, helper's 0 MiB
END

cc -O1 -Wall -pthread -o "$folder/program" "$folder/program.c"
status=0
"$folder/program" "$first" "$second" "$usage" >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "$(cat "$folder/seen")"
echo "Linux $(uname -r)"
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
