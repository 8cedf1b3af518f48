/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-keeper: holds gmemd's file descriptors while gmemd is away.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon/base/notify.h"
#include "daemon/config/config.h"
#include "daemon/keeper/confinement.h"
#include "daemon/keeper/held_fds.h"
#include "daemon/keeper/listener.h"
#include "daemon/keeper/server.h"
#include "kernel/base/cleanup.h"
#include "kernel/host/process_start.h"
#include "kernel/host/resource_limits.h"

/* Its own files, those of a packet on its way, and some to spare. */
#define FILES_RESERVED 64

/* Enough for a gmemd that is started again by hand. */
#define IDLE_SECONDS     10
#define IDLE_SECONDS_MAX 3600

/* How long the service manager may take to have room for what it is told. */
#define NOTIFY_MILLISECONDS 10000

struct options {
	const char *runtime_directory;
	int idle_seconds; /* -1: it stays */
	bool background;
};

enum { OPTION_RUNTIME_DIRECTORY = 256, OPTION_EXIT_WHEN_IDLE, OPTION_BACKGROUND };

static const struct option long_options[] = {
	{"runtime-directory", required_argument, NULL, OPTION_RUNTIME_DIRECTORY},
	{"exit-when-idle", optional_argument, NULL, OPTION_EXIT_WHEN_IDLE},
	{"background", no_argument, NULL, OPTION_BACKGROUND},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: gmemd-keeper [--runtime-directory=DIR] [--exit-when-idle[=SECONDS]] "
	"[--background]\n"
	"Holds gmemd's file descriptors while gmemd is away.\n"
	"\n"
	"  --runtime-directory=DIR     where its socket is (" DEFAULT_RUNTIME_DIRECTORY ")\n"
	"  --exit-when-idle[=SECONDS]  end when nobody was connected for so long (10), unless it\n"
	"                              holds anything of a process that lives\n"
	"  --background                return as soon as it serves, or another one does\n"
	"  --help, --version\n";

static bool set_runtime_directory(struct options *options, const char *value)
{
	if (value[0] == '/' && strlen(value) <= RUNTIME_DIRECTORY_MAX) {
		options->runtime_directory = value;
		return true;
	}
	fprintf(stderr,
		"gmemd-keeper: --runtime-directory must be an absolute path of at most %d bytes\n",
		RUNTIME_DIRECTORY_MAX);
	return false;
}

static bool set_idle_seconds(struct options *options, const char *value)
{
	char *end = NULL;
	long seconds = value ? strtol(value, &end, 10) : IDLE_SECONDS;

	if (value && (end == value || *end != '\0' || seconds < 0 || seconds > IDLE_SECONDS_MAX)) {
		fprintf(stderr, "gmemd-keeper: --exit-when-idle must be seconds, at most %d\n",
			IDLE_SECONDS_MAX);
		return false;
	}
	options->idle_seconds = (int)seconds;
	return true;
}

static bool set_option(struct options *options, int option)
{
	switch (option) {
	case OPTION_RUNTIME_DIRECTORY:
		return set_runtime_directory(options, optarg);
	case OPTION_EXIT_WHEN_IDLE:
		return set_idle_seconds(options, optarg);
	case OPTION_BACKGROUND:
		options->background = true;
		return true;
	default:
		fputs("Try gmemd-keeper --help.\n", stderr);
		return false;
	}
}

static enum config_outcome options_read(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){DEFAULT_RUNTIME_DIRECTORY, -1, false};
	while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		if (option == 'h' || option == 'V') {
			fputs(option == 'h' ? usage : "gmemd-keeper " GMEMD_VERSION "\n", stdout);
			return CONFIG_EXIT;
		}
		if (!set_option(options, option))
			return CONFIG_WRONG;
	}
	if (optind == argc)
		return CONFIG_RUN;
	fprintf(stderr, "gmemd-keeper: there is no argument \"%s\"; try gmemd-keeper --help\n",
		argv[optind]);
	return CONFIG_WRONG;
}

static int setup_failed(const char *what, int r)
{
	char behind[160];

	limits_behind(-r, behind, sizeof behind);
	fprintf(stderr, "gmemd-keeper: error: %s: %s%s\n", what, strerror(-r), behind);
	return r;
}

/*
 * Goes on in a child, in a session of its own, that is nobody's to wait for; the parent ends when
 * the child closes *ret_ready, with success if it has written there. There are no threads yet.
 */
static int go_to_background(int *ret_ready)
{
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		fd_close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	fd_close(ends[0]);
	setsid();
	if (chdir("/") < 0)
		return -errno; /* else it would keep from being unmounted what it was started in */
	*ret_ready = ends[1];
	return 0;
}

static int tell_ready(int ready)
{
	int r = notify_try("READY=1\nSTATUS=Holding gmemd's files", NOTIFY_MILLISECONDS);

	if (r < 0)
		setup_failed("telling the service manager", r); /* who may want to end it */
	r = 0;
	if (ready >= 0 && write(ready, "", 1) != 1)
		r = setup_failed("telling who has started it", -errno);
	fd_close(ready);
	return r;
}

static int watch_signals(int *ret_fd)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	if (process_may_handle(SIGINT))
		sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	*ret_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? -errno : 0;
}

/* Until here nobody is answered. */
static int confine_and_serve(struct keeper_server *server, int ready)
{
	int r = confinement_enter();

	if (r < 0)
		return setup_failed("confining itself", r);
	r = tell_ready(ready);
	if (r == 0)
		r = keeper_server_run(server);
	notify_send("STOPPING=1");
	return r < 0 ? setup_failed("serving", r) : 0;
}

/* ready: where to tell that it serves; -1: nowhere. */
static int run_keeper(const struct options *options, int ready)
{
	size_t files = confinement_raise_files();
	struct keeper_server server = {
		.grace_seconds =
			options->idle_seconds < 0 ? IDLE_SECONDS : (unsigned)options->idle_seconds,
		.exits = options->idle_seconds >= 0,
	};
	struct keeper_listener listener;
	cleanup_fd int signals = -1;
	struct held_fds holding;
	int r;

	held_fds_init(&holding, files > FILES_RESERVED ? files - FILES_RESERVED : 0);
	r = keeper_listener_open(
		&listener, options->runtime_directory, !options->background, &holding);
	if (r == -EADDRINUSE && options->background)
		return tell_ready(ready);
	if (r < 0)
		return setup_failed(options->runtime_directory, r);
	confinement_avoid_oom();
	r = watch_signals(&signals);
	if (r < 0)
		setup_failed("setting up", r);
	if (r == 0) {
		server.holding = &holding;
		server.listener = listener.fd;
		server.signals = signals;
		r = confine_and_serve(&server, ready);
	}
	keeper_listener_close(&listener);
	held_fds_clear(&holding);
	return r;
}

int main(int argc, char **argv)
{
	struct options options;
	int ready = -1, r = process_start(PROCESS_DAEMON);

	if (r < 0) {
		setup_failed("/dev/null", r);
		return EXIT_FAILURE;
	}
	switch (options_read(argc, argv, &options)) {
	case CONFIG_EXIT:
		return EXIT_SUCCESS;
	case CONFIG_FAULTY:
	case CONFIG_WRONG:
		return 2;
	case CONFIG_RUN:
		break;
	}
	if (options.background) {
		/* They are gmemd's. */
		unsetenv("NOTIFY_SOCKET");
		unsetenv("LISTEN_PID");
		r = go_to_background(&ready);
		if (r < 0) {
			setup_failed("going to the background", r);
			return EXIT_FAILURE;
		}
	}
	return run_keeper(&options, ready) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
