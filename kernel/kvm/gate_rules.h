/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate's rules as a table: what a filter must do that a VMM installs itself, in whatever
 * language. The first rule that fits a call decides. gate_filter.c does the same, and a test
 * compares the two; the reference is printed from here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kvm/mailbox.h"

#define GATE_RULE_ARGUMENTS_MAX 2

/* args[index] & mask == value. */
struct gate_rule_argument {
	unsigned index;
	uint32_t mask;
	uint32_t value;
};

struct gate_rule {
	const char *what;
	bool other_architecture; /* than gate_rules_architecture: no other condition */
	uint32_t first, last;    /* system calls */
	unsigned n_arguments;
	struct gate_rule_argument arguments[GATE_RULE_ARGUMENTS_MAX];
	/* The command of the mailbox's area in which args[2] must point at an entry, all 64 bits of
	 * it: address <= args[2] < address + length, args[2] % stride == 0. 0: none. */
	uint32_t area;
	uint32_t action; /* SECCOMP_RET_… with its data */
};

extern const uint32_t gate_rules_architecture;
extern const struct gate_rule gate_rules[];
extern const size_t gate_rules_count;

struct seccomp_data;
/* What they say of a call. */
uint32_t gate_rules_action(
	const struct seccomp_data *call, const struct mailbox_area areas[static MAILBOX_COMMANDS]);
