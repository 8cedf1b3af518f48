/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmem-run-qemu: what a libvirt domain has as its <emulator>. It takes QEMU's arguments, and
 * becomes QEMU in the same process, with the files, limits and cgroup that it was started with:
 *
 *  - a guest's memory is gmemd's, as with gmem-run --shim, under the guest's name and UUID;
 *  - what libvirt asks of QEMU without a machine gets /dev/kvm and a closed gate;
 *  - what opens no device is QEMU's alone.
 *
 * Started as gmem-run-qemu-system-ARCH it becomes that QEMU, else that of this machine. What it
 * says is one line on stderr, which libvirt shows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "client/lib/environment.h"
#include "client/run/become.h"
#include "client/run/name.h"
#include "client/run/qemu_command.h"
#include "client/run/say.h"
#include "kernel/host/process_start.h"

#define PREFIX  "gmem-run-"
#define DEFAULT "qemu-system-"
#define SOCKET  "/run/gmemd/gmemd.sock"
#define TIMEOUT 30 /* seconds */

const char run_program[] = "gmem-run-qemu";

/* What it is to become. */
static void find_emulator(const char *started_as, char *ret, size_t size)
{
	const char *name = basename(started_as);
	struct utsname machine;

	if (strncmp(name, PREFIX DEFAULT, strlen(PREFIX DEFAULT)) == 0) {
		snprintf(ret, size, "%s", name + strlen(PREFIX));
		return;
	}
	uname(&machine);
	snprintf(ret, size, DEFAULT "%s", machine.machine);
}

static int become_guest(char **arguments, const char *socket, struct qemu_command *command)
{
	struct gmem_vm_options vm = {
		.gate = GMEM_GATE_REQUIRED, .uuid = command->uuid, .mappings = GMEM_MAPPINGS_GO};

	if (command->name[0] == '\0')
		name_after(arguments[0], command->name, sizeof command->name);
	vm.name = command->name;
	return become_shimmed_vmm(arguments, socket, &vm, TIMEOUT, /* notify= */ false);
}

static int become_qemu(char **arguments)
{
	const char *socket = getenv(GMEM_SOCKET_VARIABLE);
	struct qemu_command command;

	if (!socket)
		socket = SOCKET;
	qemu_command_read(arguments + 1, &command);
	switch (command.purpose) {
	case QEMU_WORDS:
		return become_vmm(arguments);
	case QEMU_PROBE:
		return become_probe(arguments, socket, TIMEOUT);
	default:
		return become_guest(arguments, socket, &command);
	}
}

int main(int argc, char **argv)
{
	char emulator[128];
	int r = process_start(PROCESS_LAUNCHER);

	if (r < 0 || argc < 1) {
		say_error("/dev/null", strerror(-r));
		return EXIT_FAILED;
	}
	find_emulator(argv[0], emulator, sizeof emulator);
	argv[0] = emulator;
	return become_qemu(argv);
}
