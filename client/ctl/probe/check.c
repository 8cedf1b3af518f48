/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gmemctl probe checks. See check.h.
 */
#include "client/ctl/probe/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/ctl/probe/check_tries.h"
#include "kernel/base/cleanup.h"
#include "kernel/base/uapi.h"
#include "kernel/host/process.h"
#include "kernel/kvm/gate.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static void append_check(char *text, size_t size, const char *word)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", word);
}

/* Names the types that have it. */
static bool any_type(const struct checked_host *host,
	bool (*has)(const struct vm_type_offer *offer), char *ret_detail, size_t size)
{
	ret_detail[0] = '\0';
	for (unsigned type = 0; type < VM_TYPES_MAX; type++) {
		const struct vm_type_offer *offer = &host->offer.vm_types[type];
		char number[16];

		snprintf(number, sizeof number, "type %u", type);
		if (offer->offered && has(offer))
			append_check(
				ret_detail, size, vm_type_name(type) ? vm_type_name(type) : number);
	}
	if (ret_detail[0])
		return true;
	snprintf(ret_detail, size, "no type of VM has it");
	return false;
}

static bool kvm_there(const struct checked_host *host, char *ret_detail, size_t size)
{
	bool there = host->kvm_errno != ENOENT;

	snprintf(ret_detail, size, "%s", there ? "" : strerror(host->kvm_errno));
	return there;
}

static bool kvm_opens(const struct checked_host *host, char *ret_detail, size_t size)
{
	if (host->kvm_errno == 0)
		snprintf(ret_detail, size, "%s", host->offer.kvm ? "" : "it is not KVM");
	else if (host->from_gmemd)
		snprintf(ret_detail, size, "by gmemd, not by this user");
	else
		snprintf(ret_detail, size, "%s", strerror(host->kvm_errno));
	return host->offer.kvm;
}

static bool guest_memfd(const struct checked_host *host, char *ret_detail, size_t size)
{
	snprintf(ret_detail, size, "for VMs of type default");
	return host->offer.vm_types[0].guest_memfd;
}

static bool guest_memfd_flags(const struct checked_host *host, char *ret_detail, size_t size)
{
	uint64_t flags = host->offer.vm_types[0].guest_memfd_flags;

	ret_detail[0] = '\0';
	if (flags & GUEST_MEMFD_FLAG_MMAP)
		append_check(ret_detail, size, "mmap");
	if (flags & GUEST_MEMFD_FLAG_INIT_SHARED)
		append_check(ret_detail, size, "init_shared");
	if (!ret_detail[0])
		append_check(ret_detail, size, "none");
	return flags & GUEST_MEMFD_FLAG_MMAP && flags & GUEST_MEMFD_FLAG_INIT_SHARED;
}

static bool has_attributes(const struct vm_type_offer *offer)
{
	return offer->memory_attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

static bool converts_in_place(const struct vm_type_offer *offer)
{
	return offer->converts_in_place;
}

static bool private_attributes(const struct checked_host *host, char *ret_detail, size_t size)
{
	if (any_type(host, has_attributes, ret_detail, size))
		return true;
	if (any_type(host, converts_in_place, ret_detail, size))
		append_check(ret_detail, size,
			"converted in place, by KVM_SET_MEMORY_ATTRIBUTES2 on the guest_memfd");
	return false;
}

static bool has_other_conversion(const struct checked_host *host)
{
	char types[256];

	return any_type(host, converts_in_place, types, sizeof types);
}

static bool is_offered(const struct vm_type_offer *offer)
{
	return offer->offered;
}

static bool vm_types(const struct checked_host *host, char *ret_detail, size_t size)
{
	return any_type(host, is_offered, ret_detail, size);
}

static bool has_pre_fault(const struct vm_type_offer *offer)
{
	return offer->pre_fault_memory;
}

static bool pre_fault(const struct checked_host *host, char *ret_detail, size_t size)
{
	return any_type(host, has_pre_fault, ret_detail, size);
}

static bool mseal_there(const struct checked_host *host, char *ret_detail, size_t size)
{
	/* A length of 0 seals nothing. */
	bool there = syscall(__NR_mseal, 0, 0, 0) == 0;

	(void)host;
	snprintf(ret_detail, size, "%s", there ? "" : strerror(errno));
	return there;
}

static bool user_notification(const struct checked_host *host, char *ret_detail, size_t size)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	bool there = syscall(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;

	(void)host;
	snprintf(ret_detail, size, "%s", there ? "" : strerror(errno));
	return there;
}

/* What seccomp allows below this process's own filters can only be tried. */
static bool gate_goes_up(const struct checked_host *host, char *ret_detail, size_t size)
{
	int r = gate_try();
	const char *obstacle = gate_obstacle(r);

	(void)host;
	snprintf(ret_detail, size, "%s", r == 0 ? "" : obstacle ? obstacle : strerror(-r));
	return r == 0;
}

/* Without a file the kernel that has it says EBADF. */
static bool cachestat_there(const struct checked_host *host, char *ret_detail, size_t size)
{
	struct gmem_cachestat_range whole = {.off = 0};
	struct gmem_cachestat counts;
	bool there = syscall(__NR_cachestat, -1, &whole, &counts, 0) == 0 || errno == EBADF;

	(void)host;
	snprintf(ret_detail, size, "%s", there ? "" : strerror(errno));
	return there;
}

/* The beginning of a file, as a string. -1 with errno where it can't be read. */
static ssize_t read_text(const char *path, char *ret, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, ret, size - 1);

	ret[length < 0 ? 0 : length] = '\0';
	return length;
}

/* A v1 controller has a line of its own, "4:memory:/…" or "4:cpu,memory:/…". */
static bool memory_cgroup_v1(void)
{
	char text[4096];

	return read_text("/proc/self/cgroup", text, sizeof text) > 0 &&
	       (strstr(text, ":memory:") || strstr(text, ",memory:") || strstr(text, ":memory,"));
}

static bool memory_cgroup(const struct checked_host *host, char *ret_detail, size_t size)
{
	char text[4096];
	bool v2 = read_text("/sys/fs/cgroup/cgroup.controllers", text, sizeof text) > 0 &&
		  strstr(text, "memory");
	bool v1 = !v2 && memory_cgroup_v1();

	(void)host;
	snprintf(ret_detail, size, "%s", v2 ? "v2" : v1 ? "v1" : "neither v2 nor v1");
	return v2 || v1;
}

static bool peer_pidfd(const struct checked_host *host, char *ret_detail, size_t size)
{
	socklen_t length = sizeof(int);
	int pair[2], pidfd = -1;
	bool there;

	(void)host;
	snprintf(ret_detail, size, "no socket to ask");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	there = getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0;
	snprintf(ret_detail, size, "%s", there ? "" : strerror(errno));
	fd_close(pidfd);
	fd_close(pair[0]);
	fd_close(pair[1]);
	return there;
}

/* Returns 0 or a negative errno. */
static int send_file(int socket, int file)
{
	char byte = 0, control[CMSG_SPACE(sizeof file)] = "";
	struct iovec part = {&byte, 1};
	struct msghdr packet = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&packet);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof file);
	memcpy(CMSG_DATA(rights), &file, sizeof file);
	return sendmsg(socket, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* "0-1,4": how many numbers that says. */
static unsigned count_list(const char *list)
{
	unsigned count = 0, first, last;
	int used;

	while (sscanf(list, "%u%n", &first, &used) == 1) {
		list += used;
		last = first;
		if (sscanf(list, "-%u%n", &last, &used) == 1)
			list += used;
		count += last >= first ? last - first + 1 : 0;
		if (*list != ',')
			break;
		list++;
	}
	return count;
}

static bool one_node(const struct checked_host *host, char *ret_detail, size_t size)
{
	char text[1024];
	unsigned nodes = 1;

	(void)host;
	if (read_text("/sys/devices/system/node/online", text, sizeof text) > 0)
		nodes = count_list(text);
	snprintf(ret_detail, size, "%u", nodes);
	return nodes <= 1;
}

/* Whether files can be kept from being sent to a socket: tried on one of our own. */
static bool files_refused(const struct checked_host *host, char *ret_detail, size_t size)
{
	int refuse = 0, pair[2];
	bool there;

	(void)host;
	snprintf(ret_detail, size, "no socket to ask");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	there = setsockopt(pair[0], SOL_SOCKET, SO_PASSRIGHTS, &refuse, sizeof refuse) == 0;
	snprintf(ret_detail, size, "%s", there ? "" : strerror(errno));
	if (there && send_file(pair[1], pair[0]) != -EPERM) {
		snprintf(ret_detail, size, "files come all the same");
		there = false;
	}
	fd_close(pair[0]);
	fd_close(pair[1]);
	return there;
}

static bool files_taken(const struct checked_host *host, char *ret_detail, size_t size)
{
	bool off = process_attaching_is_off();

	(void)host;
	snprintf(ret_detail, size, "%s", off ? "kernel.yama.ptrace_scope is 3" : "");
	return !off;
}

/* 618 of "6.18.44-1"; 0 where that is no release. */
static unsigned release_number(const char *release)
{
	unsigned major, minor;

	return sscanf(release, "%u.%u", &major, &minor) == 2 && minor < 100 ? major * 100 + minor
									    : 0;
}

void check_remedy(
	const struct check *check, const struct checked_host *host, char *ret, size_t size)
{
	bool old = release_number(host->offer.kernel_release) < check->since;

	if (check->present == private_attributes && has_other_conversion(host)) {
		snprintf(ret, size,
			"This gmemd does not do that yet: boot a kernel whose VMs have "
			"KVM_SET_MEMORY_ATTRIBUTES, or use a later gmemd.");
		return;
	}
	ret[0] = '\0';
	if (old)
		snprintf(ret, size, "Boot Linux %u.%u or newer.%s", check->since / 100,
			check->since % 100, check->remedy[0] ? " " : "");
	snprintf(ret + strlen(ret), size - strlen(ret), "%s", check->remedy);
}

const struct check checks[] = {
	{"/dev/kvm is there", kvm_there, true, false, "There can be no VMs.", 0,
		"Load kvm_intel or kvm_amd, and enable virtualization in the firmware."},
	{"/dev/kvm can be opened", kvm_opens, true, false, "Whoever can't open it can't run gmemd.",
		0,
		"Ask as root or as a member of the group kvm, or start gmemd, which is asked "
		"then."},
	{"VM types", vm_types, true, true, "No VM can be made.", 0,
		"See the kernel's log for what KVM says."},
	{"guest_memfd", guest_memfd, true, true, "gmemd has nothing to make guest memory of.", 618,
		"It must have CONFIG_KVM_GUEST_MEMFD."},
	{"guest_memfd: mmap, init_shared", guest_memfd_flags, false, true,
		"VMMs can't map their guests' memory.", 618,
		"VMs of type default must have both; see the kernel's log for what KVM says."},
	{"private memory attributes", private_attributes, false, true,
		"No confidential VMs: no memory can be made private.", 608,
		"Use a host with SEV-SNP or TDX, or, for trying, a kernel with "
		"CONFIG_KVM_SW_PROTECTED_VM."},
	{"pre-fault of guest memory", pre_fault, false, true,
		"A guest faults at its first touch of each page, preallocated or not.", 611,
		"KVM must have two-dimensional paging, EPT or NPT: in a virtual machine, its host "
		"must pass that on."},
	{"mseal", mseal_there, true, false,
		"No VM can have a gate, which gmemd demands by default.", 610,
		"Use a 64-bit kernel, or let gmemd run with --gate=preferred."},
	{"seccomp user notification", user_notification, true, false,
		"No VM can have a gate, which gmemd demands by default.", 0,
		"Use a kernel with CONFIG_SECCOMP_FILTER, or let gmemd run with --gate=preferred."},
	{"a gate below this process", gate_goes_up, true, false,
		"No VMM that is started from here can have a gate.", 0,
		"Start VMMs outside of the sandbox or container that this process is in."},
	{"SO_PASSRIGHTS", files_refused, true, false,
		"Peers could send gmemd files that stop it: it runs the model alone.", 616,
		"See what it failed with."},
	{"files of VMMs can be taken", files_taken, true, false,
		"No VM can have memory: nobody can take a VMM's file by pidfd_getfd(2).", 0,
		"Set kernel.yama.ptrace_scope to 2 or less where it is set, and boot: it can't be "
		"lowered."},
	{"cachestat", cachestat_there, false, false,
		"gmemd can't tell how much of a memory is resident.", 605,
		"A filter that this process runs under may refuse it."},
	{"pressure stall information", try_pressure, false, false,
		"Nobody notices that the host's memory gets short.", 420,
		"Boot with psi=1, with a kernel that has CONFIG_PSI. Before Linux 6.4 only root "
		"can "
		"ask."},
	{"memory cgroup", memory_cgroup, false, false,
		"No VM's memory can be limited by its cgroup.", 0,
		"Mount cgroup2 on /sys/fs/cgroup, and boot without cgroup_disable=memory."},
	{"charged where it is allocated", try_charge, false, false,
		"What is preallocated for a VM doesn't count in its cgroup.", 0,
		"See that the memory controller is on for the cgroup that this is run in."},
	{"SO_PEERPIDFD", peer_pidfd, false, false,
		"gmemd tells a peer's process by its number, which another may get meanwhile.", 605,
		"See what it failed with."},
	{"NUMA nodes", one_node, false, false,
		"A memory for which no node was asked is allocated wherever there is room.", 0,
		"Ask for a memory's node (memory.create's node), or bind VMMs to one."},
	{"a guest_memfd's memory policy", try_memory_policy, false, true,
		"A memory's node is kept by what is preallocated; what a guest touches first is "
		"where its VMM's own policy says.",
		619, "Preallocate memories that have a node."},
	{.name = NULL},
};
