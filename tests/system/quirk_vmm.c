/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quirk_vmm: a VMM of libgmem's under gmem-run, which looks at whether its VM's quirk is switched
 * off when that is made. Its exit status is 0 where it is as WHICH says, 77 where this KVM can't.
 *
 *     quirk_vmm stay|go|null
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "client/gmem.h"
#include "kernel/base/uapi.h"

#define SKIPPED 77

static volatile sig_atomic_t switched;

static void note(int number)
{
	(void)number;
	switched = 1;
}

/* The ioctl that would do it comes to note(), in its place. */
static int watch_ioctl(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_rule_add(
		filter, SCMP_ACT_TRAP, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, KVM_ENABLE_CAP));
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "quirk_vmm: %s: %s, %s\n", what, strerror(-r), gmem_last_error());
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const char *which = argc == 2 ? argv[1] : "";
	const struct gmem_vm_options options = {
		.mappings = strcmp(which, "go") == 0 ? GMEM_MAPPINGS_GO : GMEM_MAPPINGS_STAY};
	const bool expected = options.mappings == GMEM_MAPPINGS_STAY;
	struct gmem *gmem;
	struct gmem_vm *vm;
	int r, quirks;

	signal(SIGSYS, note);
	r = gmem_connect(NULL, &gmem);
	if (r == 0)
		r = watch_ioctl();
	if (r == 0)
		r = gmem_vm_open(gmem, strcmp(which, "null") == 0 ? NULL : &options, &vm);
	if (r < 0)
		return fail("opening the VM", r);
	quirks = ioctl(gmem_vm_fd(vm), KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
	if (quirks < 0 || !(quirks & KVM_X86_QUIRK_SLOT_ZAP_ALL))
		return SKIPPED;
	gmem_vm_free(vm);
	gmem_free(gmem);
	return switched == expected ? EXIT_SUCCESS : fail("the quirk is not as wanted", 0);
}
