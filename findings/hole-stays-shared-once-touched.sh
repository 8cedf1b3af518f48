#!/bin/sh
# What a guest has touched while nothing was there, KVM takes for shared for good: it remembers the frame as MMIO. A memslot that is bound
# there later, and made private, is never seen by the guest: each access is KVM_EXIT_MEMORY_FAULT with flags 0, "found to be shared",
# though KVM_SET_MEMORY_ATTRIBUTES says private; doing that again changes nothing. It ends when the frame is made shared again, touched,
# and made private then. Frames beside it that were not touched are well. (A fault on an MMIO entry is reserved-bit, for which
# kvm_mmu_page_fault() doesn't ask the frame's attributes; conversions and new slots leave that entry.)
#
# Seen on:   Linux 6.18.15 and 7.3.4 with CONFIG_KVM_SW_PROTECTED_VM, under QEMU's emulation of SVM with NPT.
# Expected:  api.rst, KVM_EXIT_MEMORY_FAULT: the flag tells what the guest's access was; one expects it to be of what the frame is, and
#            a frame that is private and has a memory to be there.
# Output seen: as in "expected" below.
#
# Needs: cc, /dev/kvm with VMs of type 1. Exit status: 0 as found, 1 changed, 77 can't be tried here. Takes a second.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

command -v cc >/dev/null || skip "no C compiler"
[ -w /dev/kvm ] || skip "no /dev/kvm"
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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define HOLE 0x200000ull
#define CODE 0x1000ull
#define PAGE 4096ull

struct region2 {
	uint32_t slot, flags;
	uint64_t guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
	uint32_t guest_memfd, pad1;
	uint64_t pad2[14];
};
struct create { uint64_t size, flags, reserved[6]; };
struct attributes { uint64_t address, size, attributes, flags; };
struct fault { uint64_t flags, gpa, size; };

static int vm, vcpu;
static struct kvm_run *run;

/* A byte at the address: mov al, [0]; hlt. */
static void look(const char *when, uint64_t address)
{
	const struct fault *fault = (void *)&run->hw;
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	int r;

	ioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	sregs.ds.base = address;
	ioctl(vcpu, KVM_SET_SREGS, &sregs);
	ioctl(vcpu, KVM_SET_REGS, &regs);
	r = ioctl(vcpu, KVM_RUN, 0);
	printf("  %s: ", when);
	if (r < 0 && run->exit_reason == 39)
		printf("memory fault, flags %#llx\n", (unsigned long long)fault->flags);
	else if (run->exit_reason == KVM_EXIT_MMIO)
		printf("MMIO\n");
	else
		printf("%s\n", run->exit_reason == KVM_EXIT_HLT ? "there" : "something else");
	if (run->exit_reason == KVM_EXIT_MMIO)
		ioctl(vcpu, KVM_RUN, 0); /* to its end */
}

static void convert(uint64_t attributes)
{
	struct attributes call = {HOLE, 2 * PAGE, attributes, 0};

	ioctl(vm, _IOW(KVMIO, 0xd2, struct attributes), &call);
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);
	struct create create = {.size = 2 * PAGE};
	struct region2 region = {.slot = 1, .flags = 4, .guest_phys_addr = HOLE, .memory_size = 2 * PAGE};
	struct kvm_userspace_memory_region code = {.guest_phys_addr = CODE, .memory_size = PAGE};

	vm = ioctl(kvm, KVM_CREATE_VM, 1ul);
	if (vm < 0 || ioctl(vm, KVM_CHECK_EXTENSION, 233) <= 0)
		return 77;
	code.userspace_addr = (uintptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memcpy((void *)(uintptr_t)code.userspace_addr, "\xa0\x00\x00\xf4", 4);
	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &code);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0ul);
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	look("a hole", HOLE);
	region.userspace_addr = (uintptr_t)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	region.guest_memfd = ioctl(vm, _IOWR(KVMIO, 0xd4, struct create), &create);
	if (ioctl(vm, _IOW(KVMIO, 0x49, struct region2), &region) < 0)
		return 77;
	convert(8);
	look("bound and private", HOLE);
	look("again", HOLE);
	convert(8);
	look("made private again", HOLE);
	look("the frame beside it", HOLE + PAGE);
	convert(0);
	look("shared", HOLE);
	convert(8);
	look("private", HOLE);
	return 0;
}
END
cc -O1 -o "$folder/program" "$folder/program.c"
cat >"$folder/expected" <<'END'
  a hole: MMIO
  bound and private: memory fault, flags 0
  again: memory fault, flags 0
  made private again: memory fault, flags 0
  the frame beside it: there
  shared: there
  private: there
END
status=0
"$folder/program" >"$folder/seen" || status=$?
[ "$status" != 77 ] || skip "KVM has no VMs with private memory"
cat "$folder/seen"
if cmp -s "$folder/seen" "$folder/expected"; then
	echo "as found"
else
	echo "changed"
	exit 1
fi
