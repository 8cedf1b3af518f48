/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate's rules. See gate_rules.h.
 */
#include "kernel/kvm/gate_rules.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "kernel/base/uapi.h"

#if defined __x86_64__
const uint32_t gate_rules_architecture = AUDIT_ARCH_X86_64;
#else
const uint32_t gate_rules_architecture = AUDIT_ARCH_AARCH64;
#endif

#define ALL            UINT32_MAX
#define EPERM_RETURNED (SECCOMP_RET_ERRNO | EPERM)
#define EBUSY_RETURNED (SECCOMP_RET_ERRNO | EBUSY)

#define IOCTL(command, bits)                                                                       \
	.first = __NR_ioctl, .last = __NR_ioctl, .n_arguments = 1,                                 \
	.arguments = {{.index = 1, .mask = (bits), .value = (uint32_t)(command) & (bits)}}
/* Whatever its size and direction. */
#define NUMBER(command) IOCTL(command, 0xffffu)

const struct gate_rule gate_rules[] = {
	{"a call of another architecture", .other_architecture = true,
		.action = SECCOMP_RET_KILL_PROCESS},
	{"a call of x32", .first = 0x40000000, .last = UINT32_MAX - 1,
		.action = SECCOMP_RET_KILL_PROCESS},
	{"seccomp(SECCOMP_SET_MODE_FILTER) with SECCOMP_FILTER_FLAG_NEW_LISTENER",
		.first = __NR_seccomp, .last = __NR_seccomp, .n_arguments = 2,
		.arguments = {{0, ALL, SECCOMP_SET_MODE_FILTER},
			{1, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_NEW_LISTENER}},
		.action = EBUSY_RETURNED},
	{"KVM_CREATE_VM", IOCTL(KVM_CREATE_VM, ALL), .action = SECCOMP_RET_USER_NOTIF},
	{"KVM_CREATE_GUEST_MEMFD with an entry of its area", IOCTL(KVM_CREATE_GUEST_MEMFD, ALL),
		.area = KVM_CREATE_GUEST_MEMFD, .action = SECCOMP_RET_USER_NOTIF},
	{"KVM_SET_USER_MEMORY_REGION2 with an entry of its area",
		IOCTL(KVM_SET_USER_MEMORY_REGION2, ALL), .area = KVM_SET_USER_MEMORY_REGION2,
		.action = SECCOMP_RET_ALLOW},
	{"KVM_SET_MEMORY_ATTRIBUTES with an entry of its area",
		IOCTL(KVM_SET_MEMORY_ATTRIBUTES, ALL), .area = KVM_SET_MEMORY_ATTRIBUTES,
		.action = SECCOMP_RET_ALLOW},
	{"KVM_CREATE_VM's number", NUMBER(KVM_CREATE_VM), .action = EPERM_RETURNED},
	{"KVM_CREATE_GUEST_MEMFD's number", NUMBER(KVM_CREATE_GUEST_MEMFD),
		.action = EPERM_RETURNED},
	{"KVM_SET_USER_MEMORY_REGION2's number", NUMBER(KVM_SET_USER_MEMORY_REGION2),
		.action = EPERM_RETURNED},
	{"KVM_SET_MEMORY_ATTRIBUTES's number", NUMBER(KVM_SET_MEMORY_ATTRIBUTES),
		.action = EPERM_RETURNED},
	{"KVM_SET_USER_MEMORY_REGION's number", NUMBER(KVM_SET_USER_MEMORY_REGION),
		.action = EPERM_RETURNED},
	{"all else", .first = 0, .last = UINT32_MAX, .action = SECCOMP_RET_ALLOW},
};
const size_t gate_rules_count = sizeof gate_rules / sizeof *gate_rules;

static bool arguments_fit(const struct gate_rule *rule, const struct seccomp_data *call)
{
	for (unsigned i = 0; i < rule->n_arguments; i++) {
		const struct gate_rule_argument *argument = &rule->arguments[i];

		if (((uint32_t)call->args[argument->index] & argument->mask) != argument->value)
			return false;
	}
	return true;
}

static bool is_entry(uint32_t command, uint64_t pointer,
	const struct mailbox_area areas[static MAILBOX_COMMANDS])
{
	for (unsigned i = 0; i < MAILBOX_COMMANDS; i++) {
		if (areas[i].request == command)
			return pointer - areas[i].address < areas[i].length &&
			       pointer % areas[i].stride == 0;
	}
	return false;
}

static bool rule_fits(const struct gate_rule *rule, const struct seccomp_data *call,
	const struct mailbox_area areas[static MAILBOX_COMMANDS])
{
	if (rule->other_architecture)
		return call->arch != gate_rules_architecture;
	return (uint32_t)call->nr >= rule->first && (uint32_t)call->nr <= rule->last &&
	       arguments_fit(rule, call) &&
	       (rule->area == 0 || is_entry(rule->area, call->args[2], areas));
}

uint32_t gate_rules_action(
	const struct seccomp_data *call, const struct mailbox_area areas[static MAILBOX_COMMANDS])
{
	const struct gate_rule *rule = gate_rules;

	while (!rule_fits(rule, call, areas))
		rule++;
	return rule->action;
}
