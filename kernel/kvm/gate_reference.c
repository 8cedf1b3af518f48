/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints what a VMM must do that puts up its gate itself, from the table of the gate's rules.
 */
#include <inttypes.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/base/uapi.h"
#include "kernel/kvm/gate_rules.h"

static const char *const steps[] = {
	"# The gate, for a VMM that puts it up itself",
	"",
	"libgmem and gmem-run do this. In another language, between vm.open and the first ioctl on",
	"/dev/kvm that makes a VM:",
	"",
	"1. `vm.open` answers with `kvm`, the index of /dev/kvm's file, and with `mailbox`: the "
	"index",
	"   `fd` of its file, the `address` where it must be mapped, its `length`, and `areas`, "
	"each with",
	"   the command `request` that its entries are for, `address`, `length` and `stride`.",
	"2. prctl(PR_SET_NO_NEW_PRIVS, 1).",
	"3. seccomp(SECCOMP_SET_MODE_FILTER, flags, program) with the flags below, and a program "
	"that",
	"   does what the rules say. It returns the listener's file.",
	"4. `vm.gate` with the listener's number; then close it.",
	"5. mmap(address, length, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, mailbox, 0), then",
	"   mseal(address, length, 0), system call 462.",
	"6. ioctl(kvm, KVM_CREATE_VM, type): gmemd looks at all of that, and lets it happen once.",
	"",
	"## Rules",
	"",
	"The first that fits decides. A system call's number is taken as 32 bits without a sign. "
	"Of",
	"arguments the lower 32 bits are compared, but where a pointer must be an entry of an "
	"area: then",
	"all 64 are, and address <= pointer < address + length and pointer % stride == 0 must hold "
	"for the",
	"area of that command. No area crosses 4 GiB.",
	"",
	"| calls | arguments | pointer in args[2] | action | what that is |",
	"| --- | --- | --- | --- | --- |",
	NULL,
};

static const char *action_name(uint32_t action)
{
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_KILL_PROCESS:
		return "SECCOMP_RET_KILL_PROCESS";
	case SECCOMP_RET_USER_NOTIF:
		return "SECCOMP_RET_USER_NOTIF";
	case SECCOMP_RET_ERRNO:
		return "SECCOMP_RET_ERRNO";
	default:
		return "SECCOMP_RET_ALLOW";
	}
}

static void print_row(const struct gate_rule *rule)
{
	if (rule->other_architecture)
		printf("| arch != 0x%" PRIx32 " |", gate_rules_architecture);
	else
		printf("| 0x%" PRIx32 " to 0x%" PRIx32 " |", rule->first, rule->last);
	for (unsigned i = 0; i < rule->n_arguments; i++)
		printf("%s args[%u] & 0x%" PRIx32 " == 0x%" PRIx32, i > 0 ? " and" : "",
			rule->arguments[i].index, rule->arguments[i].mask,
			rule->arguments[i].value);
	if (rule->area)
		printf(" | an entry of 0x%" PRIx32, rule->area);
	else
		printf(" |");
	printf(" | %s", action_name(rule->action));
	if (rule->action & SECCOMP_RET_DATA)
		printf(" %" PRIu32, rule->action & SECCOMP_RET_DATA);
	printf(" | %s |\n", rule->what);
}

static void print_json_rule(const struct gate_rule *rule)
{
	printf("  {\"what\": \"%s\", ", rule->what);
	if (rule->other_architecture)
		printf("\"other_architecture\": true, ");
	else
		printf("\"first\": %" PRIu32 ", \"last\": %" PRIu32 ", ", rule->first, rule->last);
	printf("\"arguments\": [");
	for (unsigned i = 0; i < rule->n_arguments; i++)
		printf("%s{\"index\": %u, \"mask\": %" PRIu32 ", \"value\": %" PRIu32 "}",
			i > 0 ? ", " : "", rule->arguments[i].index, rule->arguments[i].mask,
			rule->arguments[i].value);
	printf("], \"area\": %" PRIu32 ", \"action\": %" PRIu32 "}", rule->area, rule->action);
}

static void print_json(void)
{
	printf("\n## The same for programs\n\n```json\n{\"architecture\": %" PRIu32
	       ", \"flags\": %lu, \"rules\": [\n",
		gate_rules_architecture,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |
			SECCOMP_FILTER_FLAG_TSYNC_ESRCH | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	for (size_t i = 0; i < gate_rules_count; i++) {
		print_json_rule(&gate_rules[i]);
		puts(i + 1 < gate_rules_count ? "," : "");
	}
	puts("]}\n```");
}

int main(void)
{
	for (const char *const *line = steps; *line; line++)
		puts(*line);
	for (size_t i = 0; i < gate_rules_count; i++)
		print_row(&gate_rules[i]);
	puts("\nflags: SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |\n"
	     "SECCOMP_FILTER_FLAG_TSYNC_ESRCH | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
	print_json();
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
