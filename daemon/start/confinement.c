/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd's confinement. See confinement.h.
 */
#include "daemon/start/confinement.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define NATIVE      AUDIT_ARCH_X86_64
#define OTHER_CALLS 0x40000000u /* x32's */
#elif defined __aarch64__
#define NATIVE      AUDIT_ARCH_AARCH64
#define OTHER_CALLS UINT32_MAX
#endif

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const int denied_calls[] = {
	/* The host. */
	SYS_acct,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_clock_settime,
	SYS_delete_module,
	SYS_finit_module,
	SYS_init_module,
#ifdef SYS_ioperm
	SYS_ioperm,
#endif
#ifdef SYS_iopl
	SYS_iopl,
#endif
	SYS_kexec_file_load,
	SYS_kexec_load,
	SYS_quotactl,
	SYS_reboot,
	SYS_setdomainname,
	SYS_sethostname,
	SYS_settimeofday,
	SYS_swapoff,
	SYS_swapon,
	SYS_syslog,
	/* What it sees of it. */
	SYS_chroot,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fsopen,
	SYS_fspick,
#ifdef SYS_mknod
	SYS_mknod,
#endif
	SYS_mknodat,
	SYS_mount,
	SYS_mount_setattr,
	SYS_move_mount,
	SYS_name_to_handle_at,
	SYS_open_by_handle_at,
	SYS_open_tree,
	SYS_pivot_root,
	SYS_setns,
	SYS_umount2,
	SYS_unshare,
	/* Who it is. */
	SYS_personality,
	SYS_setfsgid,
	SYS_setfsuid,
	SYS_setgid,
	SYS_setgroups,
	SYS_setregid,
	SYS_setresgid,
	SYS_setresuid,
	SYS_setreuid,
	SYS_setuid,
	/* Others. */
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_ptrace,
	/* What in the kernel has more ways in than anything here needs. */
	SYS_add_key,
	SYS_bpf,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_io_uring_setup,
	SYS_keyctl,
#ifdef SYS_modify_ldt
	SYS_modify_ldt,
#endif
	SYS_perf_event_open,
	SYS_request_key,
	SYS_userfaultfd,
};

#define DENIED (sizeof denied_calls / sizeof *denied_calls)

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

/* The calls' numbers are those of the architecture that this is built for; what has others is
 * denied all of them. By hand, for there is no memory to lack then. */
static void write_filter(struct sock_filter filter[static DENIED + 6])
{
	struct sock_filter *next = filter;

	*next++ = (struct sock_filter)LOAD(arch);
	*next++ = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 0, (uint8_t)(DENIED + 3));
	*next++ = (struct sock_filter)LOAD(nr);
	*next++ = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JGE | BPF_K, OTHER_CALLS, (uint8_t)(DENIED + 1), 0);
	for (size_t i = 0; i < DENIED; i++)
		*next++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(uint32_t)denied_calls[i], (uint8_t)(DENIED - i), 0);
	*next++ = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	*next = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | EPERM);
}

int gmemd_confinement_enter(void)
{
	struct sock_filter filter[DENIED + 6];
	const struct sock_fprog program = {DENIED + 6, filter};
	long r;

	if (SANITIZED)
		return 0;
	write_filter(filter);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	/* Positive: a thread that has another filter. */
	return r == 0 ? 0 : r < 0 ? -errno : -EBUSY;
}
