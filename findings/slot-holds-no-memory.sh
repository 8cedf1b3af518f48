#!/bin/sh
# A memslot doesn't hold its guest_memfd, though it was given one by a file descriptor: when the last descriptor and mapping are closed the
# memory is freed under the slot, which stays, full size and empty. KVM tells nobody: its guest addresses are still taken (EEXIST),
# it can't be given another memory (EINVAL), and only deleting it helps. The other way round holds: the guest_memfd holds the VM,
# whose end (a uevent) comes only once the memory is closed, too.
#
# Seen on:   Linux 6.18.44, cgroup v1.
# Expected:  that a binding by descriptor takes a reference on the file, as KVM's VFIO device and io_uring's registered
#            files do, so that a VMM can close it as it closes a file that it has mapped. Documentation/virt/kvm/api.rst says nothing of it at
#            KVM_SET_USER_MEMORY_REGION2.
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
group=$base/finding-slot-$$
trap 'rm -rf "$folder"; if [ -d "$group" ]; then rmdir "$group"; fi' EXIT
trap 'exit 1' INT TERM
mkdir "$group" || skip "no cgroup can be made in $base"

cat >"$folder/program.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE (64ul << 20)
#define HAS_MEMORY 4u /* KVM_MEM_GUEST_MEMFD */

/* Of Linux 6.8 */
struct create_memory {
	uint64_t size, flags, reserved[6];
};
#define CREATE_MEMORY _IOWR(KVMIO, 0xd4, struct create_memory)
struct set_slot {
	uint32_t slot, flags;
	uint64_t guest_address, size, user_address, offset;
	uint32_t memory, pad;
	uint64_t pads[14];
};
#define SET_SLOT _IOW(KVMIO, 0x49, struct set_slot)

static const char *usage_path;
static int uevents;

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

static unsigned long charged_at_last(unsigned long wanted)
{
	for (int i = 0; i < 600 && charged() != wanted; i++)
		usleep(100000);
	return charged();
}

static int make_memory(int vm)
{
	struct create_memory create = {.size = SIZE};
	int memory = ioctl(vm, CREATE_MEMORY, &create);

	if (memory < 0) {
		puts("KVM makes no guest_memfd here");
		exit(77);
	}
	return memory;
}

static const char *set_slot(int vm, unsigned slot, uint64_t size, int memory)
{
	struct set_slot set = {.slot = slot, .guest_address = SIZE, .size = size};

	if (size) {
		set.flags = HAS_MEMORY;
		set.memory = (uint32_t)memory;
	}
	return ioctl(vm, SET_SLOT, &set) ? strerror(errno) : "done";
}

/* Whether KVM tells that a VM of this process was made, or came to its end. */
static bool told_of(const char *event, int wait_ms)
{
	struct pollfd ready = {.fd = uevents, .events = POLLIN};
	char text[8192], own[32];

	snprintf(own, sizeof own, "PID=%d", (int)getpid());
	while (poll(&ready, 1, wait_ms) > 0) {
		ssize_t n = recv(uevents, text, sizeof text - 1, 0);
		bool is_event = false, is_own = false;

		if (n < 0)
			continue;
		text[n] = 0;
		for (char *field = text; field < text + n; field += strlen(field) + 1) {
			is_event = is_event || !strcmp(field, event);
			is_own = is_own || !strcmp(field, own);
		}
		if (is_event && is_own)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, memory, other;

	usage_path = argv[argc - 1];
	uevents = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (uevents < 0 || bind(uevents, (struct sockaddr *)&address, sizeof address))
		return 2;
	vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	if (vm < 0)
		return 2;
	if (!told_of("EVENT=create", 1000)) {
		puts("KVM's uevents don't come here");
		return 77;
	}
	memory = make_memory(vm);
	other = make_memory(vm);
	printf("slot 0 is given a memory: %s\n", set_slot(vm, 0, SIZE, memory));
	if (fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, SIZE))
		return 2;
	printf("charged: %lu MiB\n", charged_at_last(64));
	close(memory);
	printf("charged once it is closed: %lu MiB\n", charged_at_last(0));
	printf("slot 1 at its address: %s\n", set_slot(vm, 1, SIZE, other));
	printf("slot 0 is given another memory: %s\n", set_slot(vm, 0, SIZE, other));
	printf("slot 0 is deleted: %s\n", set_slot(vm, 0, 0, -1));
	printf("slot 1 at its address: %s\n", set_slot(vm, 1, SIZE, other));
	close(vm);
	printf("the VM is closed; is its end told? %s\n", told_of("EVENT=destroy", 1000) ? "yes" : "no");
	close(other);
	printf("the memory is closed; is its end told? %s\n", told_of("EVENT=destroy", 60000) ? "yes" : "no");
	return 0;
}
END
cat >"$folder/expected" <<'END'
slot 0 is given a memory: done
charged: 64 MiB
charged once it is closed: 0 MiB
slot 1 at its address: File exists
slot 0 is given another memory: Invalid argument
slot 0 is deleted: done
slot 1 at its address: done
the VM is closed; is its end told? no
the memory is closed; is its end told? yes
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
