/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd's confinement. See confinement.h.
 */
#include "daemon/start/confinement.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const int denied_calls[] = {
	/* The host. */
	SCMP_SYS(acct),
	SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(clock_settime),
	SCMP_SYS(delete_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(init_module),
	SCMP_SYS(ioperm),
	SCMP_SYS(iopl),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(kexec_load),
	SCMP_SYS(quotactl),
	SCMP_SYS(reboot),
	SCMP_SYS(setdomainname),
	SCMP_SYS(sethostname),
	SCMP_SYS(settimeofday),
	SCMP_SYS(swapoff),
	SCMP_SYS(swapon),
	SCMP_SYS(syslog),
	/* What it sees of it. */
	SCMP_SYS(chroot),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fsopen),
	SCMP_SYS(fspick),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(mount),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(move_mount),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(open_tree),
	SCMP_SYS(pivot_root),
	SCMP_SYS(setns),
	SCMP_SYS(umount2),
	SCMP_SYS(unshare),
	/* Who it is. */
	SCMP_SYS(personality),
	SCMP_SYS(setfsgid),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(setregid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setuid),
	/* Others. */
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(ptrace),
	/* What in the kernel has more ways in than anything here needs. */
	SCMP_SYS(add_key),
	SCMP_SYS(bpf),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(keyctl),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(request_key),
	SCMP_SYS(userfaultfd),
};

static int deny_calls(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof denied_calls / sizeof *denied_calls; i++) {
		/* A negative number is a call that this architecture doesn't have. */
		if (denied_calls[i] >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied_calls[i], 0);
	}
	return r;
}

int gmemd_confinement_enter(void)
{
	scmp_filter_ctx filter;
	int r;

	if (SANITIZED)
		return 0;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	r = deny_calls(filter);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_load(filter); /* with no_new_privs */
	seccomp_release(filter);
	return r;
}
