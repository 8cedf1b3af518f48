/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-libvirt: tells gmemd what libvirt's domains are to have. It needs no privilege but to
 * connect to both.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/common/say.h"
#include "client/libvirt/bridge.h"
#include "client/libvirt/event_loop.h"
#include "kernel/host/process_start.h"

#define EXIT_USAGE 2

enum { OPTION_CONNECT = 256, OPTION_SOCKET, OPTION_STATE };

static const struct option options[] = {
	{"connect", required_argument, NULL, OPTION_CONNECT},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"state", required_argument, NULL, OPTION_STATE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: gmemd-libvirt [--connect=URI] [--socket=PATH] [--state=FILE]\n"
	"\n"
	"Has gmemd's VMs have the limits and tenants of libvirt's domains.\n"
	"\n"
	"  --connect=URI  libvirt's (qemu:///system)\n"
	"  --socket=PATH  gmemd's, for operators (/run/gmemd/admin.sock)\n"
	"  --state=FILE   what \"gmemctl domains\" reads (/run/gmemd-libvirt/domains)\n"
	"  --help, --version\n";

/* -1: to run; else what to exit with. */
static int read_options(int argc, char **argv, struct bridge_plan *plan)
{
	int option;

	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		switch (option) {
		case OPTION_CONNECT:
			plan->uri = optarg;
			break;
		case OPTION_SOCKET:
			plan->socket = optarg;
			break;
		case OPTION_STATE:
			plan->state = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("gmemd-libvirt " GMEMD_VERSION);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "gmemd-libvirt takes no arguments\n");
		return EXIT_USAGE;
	}
	return -1;
}

static void stop(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	event_base_loopbreak(context);
}

/* libvirt frees by the loop what it has removed. */
static void run_out(struct event_base *base)
{
	while (event_base_loop(base, EVLOOP_NONBLOCK) == 0) {
		if (event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) == 0)
			break;
	}
}

static int run(const struct bridge_plan *plan, struct event_base *base)
{
	struct event *terminate = evsignal_new(base, SIGTERM, stop, base);
	struct event *interrupt = evsignal_new(base, SIGINT, stop, base);
	struct bridge *bridge = NULL;
	int r = -ENOMEM;

	event_loop_use(base);
	if (terminate && interrupt && event_add(terminate, NULL) == 0 &&
		(!process_may_handle(SIGINT) || event_add(interrupt, NULL) == 0))
		r = bridge_new(base, plan, &bridge);
	if (r == 0)
		event_base_dispatch(base);
	bridge_free(bridge);
	if (terminate)
		event_free(terminate);
	if (interrupt)
		event_free(interrupt);
	run_out(base);
	return r;
}

int main(int argc, char **argv)
{
	struct bridge_plan plan = {
		.uri = "qemu:///system",
		.socket = "/run/gmemd/admin.sock",
		.state = "/run/gmemd-libvirt/domains",
	};
	int r = process_start(PROCESS_DAEMON), status = read_options(argc, argv, &plan);
	struct event_base *base;

	if (status >= 0)
		return status;
	base = event_base_new();
	if (r == 0)
		r = base ? run(&plan, base) : -ENOMEM;
	if (base)
		event_base_free(base);
	if (r < 0)
		say(LOG_ERR, "%s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
