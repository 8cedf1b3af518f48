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

#include "client/common/waiting.h"
#include "client/lib/environment.h"
#include "client/lib/opening.h"
#include "client/run/program.h"
#include "client/run/shim.h"
#include "client/run/size.h"
#include "kernel/host/own_process.h"
#include "kernel/host/process_start.h"
#include "protocol/text.h"

/* Of the VMM's name in its VM's, where none was given. */
#define PROGRAM_BYTES_MAX 48

/* Seconds. */
#define TIMEOUT     30
#define TIMEOUT_MAX 86400

enum { EXIT_USAGE = 2, EXIT_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

struct settings {
	const char *socket;
	struct gmem_vm_options vm;
	char **command;
	uint64_t timeout; /* seconds; 0: none */
	bool shim;
};

static const char usage[] =
	"Usage: gmem-run [--socket=PATH] [--name=NAME] [--gate=required|none] [--type=TYPE]\n"
	"                [--uuid=UUID] [--commit-limit=SIZE] [--initial-state=shared|private]\n"
	"                [--timeout=SECONDS] [--shim] -- VMM ARG...\n"
	"Runs a VMM whose guest memory is gmemd's, behind the gate.\n"
	"\n"
	"  --socket=PATH        gmemd's socket (/run/gmemd/gmemd.sock)\n"
	"  --name=NAME          the VM's name (the VMM's and a number)\n"
	"  --gate=GATE          required, or none where gmemd's policy permits that\n"
	"  --type=TYPE          the VM's type, by name or number (default)\n"
	"  --uuid=UUID          the VM's UUID\n"
	"  --commit-limit=SIZE  how much memory it may have; K, M, G, T are powers of 1024\n"
	"  --initial-state=STATE  what memory is when it is bound: shared (the default),\n"
	"                       or private where the VM's type has that\n"
	"  --timeout=SECONDS    how long it waits for gmemd (30); 0: for ever\n"
	"  --shim               the VMM knows nothing of gmemd: a preloaded library opens its VM,\n"
	"                       of the default type, when it opens /dev/kvm\n"
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

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"name", required_argument, NULL, 'n'},
	{"gate", required_argument, NULL, 'g'},
	{"type", required_argument, NULL, 't'},
	{"uuid", required_argument, NULL, 'u'},
	{"commit-limit", required_argument, NULL, 'c'},
	{"initial-state", required_argument, NULL, 'i'},
	{"timeout", required_argument, NULL, 'T'},
	{"shim", no_argument, NULL, 'S'},
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
	case 'g':
		return set_gate(optarg, &settings->vm.gate)
			       ? -1
			       : wrong_usage("--gate must be required or none");
	case 'c':
		return size_parse(optarg, &settings->vm.commit_limit) == 0 &&
				       settings->vm.commit_limit > 0
			       ? -1
			       : wrong_usage("--commit-limit must be a size such as 512M");
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
	settings->command = argv + optind;
	return -1;
}

/* what may be anything that was given to us. */
static void say_error(const char *what, const char *why)
{
	char printable[256];

	text_copy_printable(what, printable, sizeof printable);
	fprintf(stderr, "gmem-run: %s: %s\n", printable, why);
}

static int call_failed(const char *what, int r)
{
	const char *message = gmem_last_message();
	char refusal[1280];

	if (r == -EREMOTEIO) {
		snprintf(refusal, sizeof refusal, "gmemd refused: %s", message);
		message = refusal;
	}
	say_error(what, message[0] ? message : strerror(-r));
	return EXIT_FAILED;
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

static bool export_files(const struct opening *opening)
{
	return export_fd(GMEM_KVM_FD_VARIABLE, opening->kvm_fd) &&
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

static int become_vmm(char **command)
{
	int number;

	execvp(command[0], command);
	number = errno;
	say_error(command[0], strerror(number));
	return number == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* Unique on the host, whatever PID namespace it is in. */
static void name_after(const char *program, char *ret, size_t size)
{
	char base[PROGRAM_BYTES_MAX + 1], tag[24];

	text_copy(basename(program), base, sizeof base);
	own_process_tag(tag, sizeof tag);
	snprintf(ret, size, "%s-%s", base, tag);
}

static void tell_vmm(void *context, bool given_up, const char *message)
{
	char printable[WAITING_MESSAGE_MAX];

	(void)context;
	(void)given_up;
	text_copy_printable(message, printable, sizeof printable);
	fprintf(stderr, "gmem-run: %s\n", printable);
}

/* Whether there is a gmemd. The VM is opened by the VMM. */
static int ask_for_sign(struct gmem *gmem)
{
	char *result;
	int r = gmem_call(gmem, "ping", NULL, &result);

	if (r == 0)
		free(result);
	return r;
}

static int connect_and_open(struct waiting *waiting, const char *path,
	const struct settings *settings, struct gmem **ret_gmem, struct opening *ret_opening)
{
	unsigned limit = (unsigned)settings->timeout;
	struct gmem *gmem;
	int r = gmem_connect(path, &gmem);

	if (r < 0) {
		call_failed("no VM", r);
		return r;
	}
	/* Not before we give up ourselves. */
	gmem_set_reconnect_limit(gmem, limit > 0 ? (limit + 1) * 1000 : UINT_MAX);
	waiting_at(waiting, gmem_fd(gmem));
	r = settings->shim ? ask_for_sign(gmem) : opening_make(gmem, &settings->vm, ret_opening);
	if (r < 0) {
		call_failed("opening the VM", r);
		gmem_free(gmem);
	} else {
		*ret_gmem = gmem;
	}
	return r;
}

/* Not in silence, nor for ever. */
static int wait_and_open(const char *path, const struct settings *settings, struct gmem **ret_gmem,
	struct opening *ret_opening)
{
	const struct waiting_plan plan = {.socket = path,
		.limit = (unsigned)settings->timeout,
		.status = EXIT_FAILED,
		.tell = tell_vmm};
	struct waiting *waiting = waiting_begin(&plan);
	int r = connect_and_open(waiting, path, settings, ret_gmem, ret_opening);

	waiting_end(waiting);
	return r;
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
	struct opening opening;
	struct gmem *gmem;
	int status;

	if (wait_and_open(path, settings, &gmem, &opening) < 0)
		return EXIT_FAILED;
	status = hand_over(gmem, &opening, settings);
	opening_clear(&opening);
	gmem_free(gmem);
	return status;
}

/* -1 where it can be run with the library, else the status to exit with. */
static int check_program(const char *name)
{
	char path[PATH_MAX];
	const char *obstacle;
	int r = program_find(name, path, sizeof path);

	if (r < 0) {
		say_error(name, strerror(-r));
		return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	obstacle = program_obstacle(path);
	if (obstacle) {
		say_error(path, obstacle);
		return EXIT_FAILED;
	}
	if (program_is_setuid(path))
		say_error(path, "it is setuid or setgid: it runs without its rights");
	return -1;
}

static int run_shimmed(const char *path, const struct settings *settings)
{
	char library[PATH_MAX];
	struct opening unused;
	struct gmem *gmem;
	int r, status = check_program(settings->command[0]);

	if (status >= 0)
		return status;
	r = shim_find(library, sizeof library);
	if (r < 0) {
		say_error(library,
			r == -EINVAL ? "LD_PRELOAD can't have a path with \" \", \":\" or \"$\""
				     : strerror(-r));
		return EXIT_FAILED;
	}
	if (wait_and_open(path, settings, &gmem, &unused) < 0)
		return EXIT_FAILED;
	gmem_free(gmem);
	r = shim_prepare(library, path, &settings->vm, (unsigned)settings->timeout);
	if (r == 0)
		return become_vmm(settings->command);
	say_error("starting the VMM", strerror(-r));
	return EXIT_FAILED;
}

static int run_vmm(struct settings *settings)
{
	const char *path = settings->socket ? settings->socket : "/run/gmemd/gmemd.sock";
	char name[PROGRAM_BYTES_MAX + 26];

	if (!settings->vm.name) {
		name_after(settings->command[0], name, sizeof name);
		settings->vm.name = name;
	}
	return settings->shim ? run_shimmed(path, settings) : run_opened(path, settings);
}

int main(int argc, char **argv)
{
	struct settings settings = {.vm = {.gate = GMEM_GATE_REQUIRED}, .timeout = TIMEOUT};
	int status, r = process_start(PROCESS_LAUNCHER);

	if (r < 0) {
		say_error("/dev/null", strerror(-r));
		return EXIT_FAILED;
	}
	status = read_arguments(argc, argv, &settings);
	return status >= 0 ? status : run_vmm(&settings);
}
