/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * adversary: one attack by its name, or --list. See adversary.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/adversary/adversary.h"

/* What is there when the attack begins. */
enum stage {
	STAGE_ALONE,     /* a connection of its own: no gmem-run, no gate */
	STAGE_INHERITED, /* what gmem-run leaves */
	STAGE_OPEN,      /* and the mailbox and the VM */
};

static const struct {
	const char *name;
	enum stage stage;
	attack *run;
	bool hidden; /* run by another attack, or beside one that names it */
} attacks[] = {
	{"own-bytes", STAGE_OPEN, attack_own_bytes, false},
	{"stale-entries", STAGE_OPEN, attack_stale, false},
	{"replayed-entries", STAGE_OPEN, attack_replay, false},
	{"unwritten-entries", STAGE_OPEN, attack_unwritten, false},
	{"within-entries", STAGE_OPEN, attack_within, false},
	{"wrong-page", STAGE_OPEN, attack_wrong_page, false},
	{"pointer-upper-half", STAGE_OPEN, attack_pointer_upper_half, false},
	{"command-upper-half", STAGE_OPEN, attack_command_upper_half, false},
	{"other-commands", STAGE_OPEN, attack_other_commands, false},
	{"mapped-nothing", STAGE_INHERITED, attack_mapped_nothing, false},
	{"mapped-unsealed", STAGE_INHERITED, attack_mapped_unsealed, false},
	{"mapped-private", STAGE_INHERITED, attack_mapped_private, false},
	{"mapped-anonymous", STAGE_INHERITED, attack_mapped_anonymous, false},
	{"mapped-foreign", STAGE_INHERITED, attack_mapped_foreign, false},
	{"mapped-partly", STAGE_INHERITED, attack_mapped_partly, false},
	{"mapped-longer", STAGE_INHERITED, attack_mapped_longer, false},
	{"mapped-elsewhere", STAGE_INHERITED, attack_mapped_elsewhere, false},
	{"mapped-offset", STAGE_INHERITED, attack_mapped_offset, false},
	{"mapped-executable", STAGE_INHERITED, attack_mapped_executable, false},
	{"mapped-torn", STAGE_INHERITED, attack_mapped_torn, false},
	{"vm-type", STAGE_INHERITED, attack_vm_type, false},
	{"vm-wrong-fd", STAGE_INHERITED, attack_vm_wrong_fd, false},
	{"vm-twice", STAGE_OPEN, attack_vm_twice, false},
	{"create-interrupted", STAGE_INHERITED, attack_interrupted, false},
	{"create-other-thread", STAGE_INHERITED, attack_other_thread, false},
	{"create-ended-thread", STAGE_INHERITED, attack_ended_thread, false},
	{"create-at-once", STAGE_INHERITED, attack_at_once, false},
	{"create-hidden", STAGE_INHERITED, attack_hidden, false},
	{"create-io-uring", STAGE_INHERITED, attack_io_uring, false},
	{"create-unknown", STAGE_INHERITED, attack_unknown, true},
	{"vm-closed", STAGE_OPEN, attack_vm_closed, false},
	{"fork", STAGE_INHERITED, attack_fork, false},
	{"clone-vm", STAGE_INHERITED, attack_clone_vm, false},
	{"thread", STAGE_INHERITED, attack_thread, false},
	{"leaderless", STAGE_INHERITED, attack_leaderless, false},
	{"exec", STAGE_OPEN, attack_exec, false},
	{"successor", STAGE_INHERITED, attack_successor, true},
	{"exec-early", STAGE_INHERITED, attack_exec_early, false},
	{"successor-early", STAGE_INHERITED, attack_successor_early, true},
	{"remap", STAGE_OPEN, attack_remap, false},
	{"forget", STAGE_OPEN, attack_forget, false},
	{"mailbox-file", STAGE_OPEN, attack_file, false},
	{"shm", STAGE_OPEN, attack_shm, false},
	{"write", STAGE_OPEN, attack_write, false},
	{"trace", STAGE_OPEN, attack_trace, false},
	{"userfaultfd", STAGE_OPEN, attack_userfaultfd, false},
	{"guest-write", STAGE_OPEN, attack_guest_write, false},
	{"wrong-fds", STAGE_OPEN, attack_wrong_fds, false},
	{"untriggered", STAGE_OPEN, attack_untriggered, false},
	{"lies", STAGE_OPEN, attack_lies, false},
	{"report-page", STAGE_OPEN, attack_report_page, false},
	{"giver", STAGE_OPEN, attack_giver, true},
	{"giver+taker", STAGE_OPEN, attack_taker, false},
	{"second-filter", STAGE_OPEN, attack_second_filter, false},
	{"second-listener", STAGE_OPEN, attack_second_listener, false},
	{"architectures", STAGE_OPEN, attack_architectures, false},
	{"deaf", STAGE_OPEN, attack_deaf, false},
	{"orphan", STAGE_OPEN, attack_orphan, true},
	{"abandoned", STAGE_OPEN, attack_abandoned, true},
	{"steal", STAGE_ALONE, attack_steal, true},
	{"signals", STAGE_INHERITED, attack_signals, false},
	{"threads", STAGE_INHERITED, attack_threads, false},
	{"one-entry", STAGE_OPEN, attack_one_entry, false},
};
#define ATTACKS (sizeof attacks / sizeof *attacks)

static int list(void)
{
	for (size_t i = 0; i < ATTACKS; i++) {
		if (!attacks[i].hidden)
			puts(attacks[i].name);
	}
	return EXIT_SUCCESS;
}

static int run_attack(size_t number)
{
	struct world world;

	if (attacks[number].stage == STAGE_ALONE)
		world_connect(&world);
	else
		world_inherit(&world);
	if (attacks[number].stage == STAGE_OPEN)
		world_open(&world);
	attacks[number].run(&world);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	for (size_t i = 0; argc == 2 && i < ATTACKS; i++) {
		if (strcmp(attacks[i].name, argv[1]) == 0)
			return run_attack(i);
	}
	fputs("Usage: gmem-run -- adversary ATTACK\n       adversary --list\n", stderr);
	return 2;
}
