/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmem-run: opens a VM, puts the gate round itself, and becomes the VMM.
 *
 * The VMM inherits the connection, /dev/kvm, the mailbox and the gate; see
 * client/lib/environment.h. Exits 125 where that fails, 126 where the VMM can't be executed, 127
 * where it is not found, 2 where its own arguments are wrong; else with what the VMM exits with.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/environment.h"
#include "client/lib/opening.h"
#include "client/run/become.h"
#include "client/run/name.h"
#include "client/run/ready.h"
#include "client/run/say.h"
#include "client/run/work.h"
#include "kernel/base/size.h"
#include "kernel/host/own_process.h"
#include "kernel/host/process_start.h"
#include "protocol/methods.h"

/* Seconds. */
#define TIMEOUT     30
#define TIMEOUT_MAX 86400

const char run_program[] = "gmem-run";

struct settings {
	const char *socket;
	struct gmem_vm_options vm;
	char **command;
	uint64_t timeout; /* seconds; 0: none */
	bool shim;
	bool notify;
};

struct opened {
	const struct settings *settings;
	struct opening opening;
};

static const char usage[] =
	"Usage: gmem-run [--socket=PATH] [--name=NAME] [--gate=required|none] [--type=TYPE]\n"
	"                [--uuid=UUID] [--commit-limit=SIZE] [--initial-state=shared|private]\n"
	"                [--reservation=ID|NAME]\n"
	"                [--timeout=SECONDS] [--shim [--keep-mappings]] [--notify] -- VMM ARG...\n"
	"Runs a VMM whose guest memory is gmemd's, behind the gate.\n"
	"\n"
	"  --socket=PATH        gmemd's socket (/run/gmemd/gmemd.sock)\n"
	"  --name=NAME          the VM's name (the VMM's and a number)\n"
	"  --gate=GATE          required, or none where gmemd's policy permits that\n"
	"  --type=TYPE          the VM's type, by name or number (default)\n"
	"  --uuid=UUID          the VM's UUID\n"
	"  --commit-limit=SIZE  how much memory it may have; K, M, G, T are powers of 1024;\n"
	"                       none, which is the default, where the host alone limits it\n"
	"  --reservation=ID|NAME  of what an operator has reserved for it (gmemctl reserve);\n"
	"                       it has no more than that; empty: of none\n"
	"  --initial-state=STATE  what memory is when it is bound: shared (the default),\n"
	"                       or private where the VM's type has that\n"
	"  --timeout=SECONDS    how long it waits for gmemd (30); 0: for ever\n"
	"  --shim               the VMM knows nothing of gmemd: a preloaded library opens its VM,\n"
	"                       of the default type, when it opens /dev/kvm\n"
	"  --keep-mappings      with --shim: a slot that goes takes down its own mappings alone,\n"
	"                       where KVM can do that (KVM_X86_QUIRK_SLOT_ZAP_ALL)\n"
	"  --notify             tells the service manager that it is ready when the VM runs, in "
	"the\n"
	"                       VMM's place, which has no NOTIFY_SOCKET; needs NotifyAccess=all\n"
	"  --help, --version\n"
	"\n"
	"Exits 125 where there is no gmemd or it refuses, 126 where the VMM can't be executed,\n"
	"127 where it is not found.\n";

static int wrong_usage(const char *what)
{
	fprintf(stderr, "gmem-run: %s; try gmem-run --help\n", what);
	return EXIT_USAGE;
}

static bool set_gate(const char *value, enum gmem_gate *ret)
{
	*ret = strcmp(value, "none") == 0 ? GMEM_GATE_NONE : GMEM_GATE_REQUIRED;
	return *ret == GMEM_GATE_NONE || strcmp(value, "required") == 0;
}

static bool set_initial_state(const char *value, enum gmem_state *ret)
{
	*ret = strcmp(value, "private") == 0 ? GMEM_PRIVATE : GMEM_SHARED;
	return *ret == GMEM_PRIVATE || strcmp(value, "shared") == 0;
}

static bool set_timeout(const char *value, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(value, &end, 10);
	return errno == 0 && value[0] >= '0' && value[0] <= '9' && *end == '\0' &&
	       *ret <= TIMEOUT_MAX;
}

static bool set_commit_limit(const char *value, uint64_t *ret)
{
	*ret = 0;
	return strcmp(value, "none") == 0 || (size_parse(value, ret) == 0 && *ret > 0);
}

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"name", required_argument, NULL, 'n'},
	{"gate", required_argument, NULL, 'g'},
	{"type", required_argument, NULL, 't'},
	{"uuid", required_argument, NULL, 'u'},
	{"commit-limit", required_argument, NULL, 'c'},
	{"reservation", required_argument, NULL, 'r'},
	{"initial-state", required_argument, NULL, 'i'},
	{"timeout", required_argument, NULL, 'T'},
	{"shim", no_argument, NULL, 'S'},
	{"keep-mappings", no_argument, NULL, 'k'},
	{"notify", no_argument, NULL, 'N'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* -1 to go on, else the status to exit with. */
static int set_option(struct settings *settings, int option)
{
	switch (option) {
	case 's':
		settings->socket = optarg;
		return -1;
	case 'n':
		settings->vm.name = optarg;
		return -1;
	case 't':
		settings->vm.type = optarg;
		return -1;
	case 'u':
		settings->vm.uuid = optarg;
		return -1;
	case 'r':
		settings->vm.reservation = optarg[0] ? optarg : NULL;
		return -1;
	case 'g':
		return set_gate(optarg, &settings->vm.gate)
			       ? -1
			       : wrong_usage("--gate must be required or none");
	case 'c':
		return set_commit_limit(optarg, &settings->vm.commit_limit)
			       ? -1
			       : wrong_usage("--commit-limit must be a size such as 512M, or none");
	case 'i':
		return set_initial_state(optarg, &settings->vm.initial_state)
			       ? -1
			       : wrong_usage("--initial-state must be shared or private");
	case 'T':
		return set_timeout(optarg, &settings->timeout)
			       ? -1
			       : wrong_usage("--timeout must be seconds, at most 86400");
	case 'S':
		settings->shim = true;
		return -1;
	case 'k':
		settings->vm.mappings = GMEM_MAPPINGS_STAY;
		return -1;
	case 'N':
		settings->notify = true;
		return -1;
	case 'h':
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	case 'V':
		puts("gmem-run " GMEMD_VERSION);
		return EXIT_SUCCESS;
	default:
		return EXIT_USAGE;
	}
}

static int read_arguments(int argc, char **argv, struct settings *settings)
{
	int option, status;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		status = set_option(settings, option);
		if (status >= 0)
			return status;
	}
	if (optind == argc)
		return wrong_usage("there is no VMM to run");
	if (settings->shim && (settings->vm.type || settings->vm.initial_state == GMEM_PRIVATE))
		return wrong_usage(
			"--shim has VMs of the default type alone, whose memory is shared");
	if (!settings->shim && settings->vm.mappings == GMEM_MAPPINGS_STAY)
		return wrong_usage("--keep-mappings is for --shim: a VMM of libgmem's has its own "
				   "option for that");
	settings->command = argv + optind;
	return -1;
}

static bool export_number(const char *variable, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, number);
	return setenv(variable, text, /* overwrite= */ 1) == 0;
}

static bool export_fd(const char *variable, int fd)
{
	return fcntl(fd, F_SETFD, 0) == 0 && export_number(variable, (uint64_t)fd);
}

/* To connect again from wherever the VMM works. */
static bool export_path(const char *path)
{
	char *whole = realpath(path, NULL);
	bool exported = setenv(GMEM_SOCKET_VARIABLE, whole ? whole : path, /* overwrite= */ 1) == 0;

	free(whole);
	return exported;
}

/* Of an older gmemd there is none, and that of another gmem-run's VM must not be taken for it. */
static bool export_report_page(const struct opening *opening)
{
	if (opening->report_fd < 0)
		return unsetenv(GMEM_REPORT_FD_VARIABLE) == 0;
	return export_fd(GMEM_REPORT_FD_VARIABLE, opening->report_fd);
}

static bool export_files(const struct opening *opening)
{
	return export_report_page(opening) && export_fd(GMEM_KVM_FD_VARIABLE, opening->kvm_fd) &&
	       export_fd(GMEM_MAILBOX_FD_VARIABLE, opening->mailbox_fd) &&
	       export_number(GMEM_MAILBOX_ADDRESS_VARIABLE, opening->mailbox_address);
}

/* A process stays itself across exec. */
static bool export_process(void)
{
	uint64_t number;

	return own_process_number(&number) < 0 || export_number(GMEM_PROCESS_VARIABLE, number);
}

static bool export_all(const struct gmem *gmem, const struct opening *opening)
{
	return export_process() && export_fd(GMEM_FD_VARIABLE, gmem->fd) &&
	       export_path(gmem->path) && (opening->modelled || export_files(opening)) &&
	       export_number(GMEM_VM_TYPE_VARIABLE, opening->type) &&
	       setenv(GMEM_VM_VARIABLE, opening->id, /* overwrite= */ 1) == 0;
}

static int open_vm(struct gmem *gmem, void *context)
{
	struct opened *opened = context;

	return opening_make(gmem, &opened->settings->vm, &opened->opening);
}

static int hand_over(
	const struct gmem *gmem, const struct opening *opening, const struct settings *settings)
{
	if (export_all(gmem, opening))
		return become_vmm(settings->command);
	say_error("handing over to the VMM", strerror(errno));
	return EXIT_FAILED;
}

static int run_opened(const char *path, const struct settings *settings)
{
	struct opened opened = {.settings = settings};
	const struct work work = {.socket = path,
		.timeout = (unsigned)settings->timeout,
		.what = "opening the VM",
		.run = open_vm,
		.context = &opened};
	struct gmem *gmem;
	int status, r;

	if (work_with_gmemd(&work, &gmem) < 0)
		return EXIT_FAILED;
	r = settings->notify ? ready_watch(path) : 0;
	if (r < 0)
		say_error("telling the service manager later", strerror(-r));
	status = r < 0 ? EXIT_FAILED : hand_over(gmem, &opened.opening, settings);
	opening_clear(&opened.opening);
	gmem_free(gmem);
	return status;
}

static int run_vmm(struct settings *settings)
{
	const char *path = settings->socket ? settings->socket : "/run/gmemd/gmemd.sock";
	char name[NAME_BYTES_MAX + 1];

	if (!settings->vm.name) {
		name_after(settings->command[0], name, sizeof name);
		settings->vm.name = name;
	}
	if (settings->shim)
		return become_shimmed_vmm(settings->command, path, &settings->vm,
			(unsigned)settings->timeout, settings->notify);
	return run_opened(path, settings);
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.vm = {.gate = GMEM_GATE_REQUIRED, .mappings = GMEM_MAPPINGS_GO},
		.timeout = TIMEOUT};
	int status, r = process_start(PROCESS_LAUNCHER);

	if (r < 0) {
		say_error("/dev/null", strerror(-r));
		return EXIT_FAILED;
	}
	status = read_arguments(argc, argv, &settings);
	return status >= 0 ? status : run_vmm(&settings);
}
