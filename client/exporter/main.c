/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd-exporter: serves gmemd's metrics over HTTP. It needs no privilege but to connect to gmemd.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "client/common/say.h"
#include "client/exporter/address.h"
#include "client/exporter/http.h"
#include "client/exporter/open_files.h"
#include "kernel/host/process_start.h"

#define EXIT_USAGE 2

enum { OPTION_LISTEN = 256, OPTION_SOCKET, OPTION_VMS };

static const struct option options[] = {
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"vms", no_argument, NULL, OPTION_VMS},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: gmemd-exporter [--listen=ADDRESS] [--socket=PATH] [--vms]\n"
	"\n"
	"Serves gmemd's metrics over HTTP, as OpenMetrics text: /metrics, and /-/healthy.\n"
	"\n"
	"  --listen=ADDRESS  where: an address and port, or the path of a unix socket\n"
	"                    (127.0.0.1:9768)\n"
	"  --socket=PATH     gmemd's, for operators (/run/gmemd/admin.sock)\n"
	"  --vms             each VM as well, by its id, uuid and name\n"
	"  --help, --version\n";

struct exporter_plan {
	struct page_plan page;
	const char *listen;
	struct address address; /* the same */
};

/* A wrong value is said in one sentence. */
static int check_plan(struct exporter_plan *plan)
{
	if (address_parse(plan->listen, &plan->address) < 0) {
		fprintf(stderr,
			"gmemd-exporter: --listen=%s: it must be an address with its port, such as "
			"127.0.0.1:9768 "
			"or [::1]:9768, or the path of a unix socket\n",
			plan->listen);
		return EXIT_USAGE;
	}
	if (strlen(plan->page.socket) >= sizeof(struct sockaddr_un) - sizeof(sa_family_t)) {
		fprintf(stderr, "gmemd-exporter: --socket=%s: it is too long for a socket's path\n",
			plan->page.socket);
		return EXIT_USAGE;
	}
	return -1;
}

/* -1: to run; else what to exit with. */
static int read_options(int argc, char **argv, struct exporter_plan *plan)
{
	int option;

	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		switch (option) {
		case OPTION_LISTEN:
			plan->listen = optarg;
			break;
		case OPTION_SOCKET:
			plan->page.socket = optarg;
			break;
		case OPTION_VMS:
			plan->page.vms = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("gmemd-exporter " GMEMD_VERSION);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fputs("gmemd-exporter takes no arguments\n", stderr);
		return EXIT_USAGE;
	}
	return check_plan(plan);
}

static void stop(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	event_base_loopbreak(context);
}

static int watch_signals(struct event_base *base, struct event *events[2])
{
	events[0] = evsignal_new(base, SIGTERM, stop, base);
	events[1] = evsignal_new(base, SIGINT, stop, base);
	if (!events[0] || !events[1] || event_add(events[0], NULL) < 0)
		return -ENOMEM;
	if (process_may_handle(SIGINT) && event_add(events[1], NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int serve(struct event_base *base, const struct exporter_plan *plan, int take_fd)
{
	struct page *page = page_new(base, &plan->page);
	struct event *events[2] = {NULL, NULL};
	struct http *http = NULL;
	int r = page ? http_new(base, page, take_fd, &http) : -ENOMEM;

	if (r == 0)
		r = watch_signals(base, events);
	if (r == 0)
		r = open_files_limit();
	if (r == 0)
		event_base_dispatch(base);
	http_free(http);
	page_free(page);
	for (unsigned i = 0; i < 2; i++) {
		if (events[i])
			event_free(events[i]);
	}
	return r;
}

static int run(struct exporter_plan *plan)
{
	struct event_base *base;
	int fd, r = address_listen(&plan->address, &fd);

	if (r < 0) {
		say(LOG_ERR, "--listen=%s: %s", plan->listen, strerror(-r));
		return EXIT_FAILURE;
	}
	base = event_base_new();
	r = base ? serve(base, plan, fd) : -ENOMEM;
	if (r < 0)
		say(LOG_ERR, "%s", strerror(-r));
	if (base)
		event_base_free(base);
	address_leave(&plan->address);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct exporter_plan plan = {
		.page = {.socket = "/run/gmemd/admin.sock"},
		.listen = "127.0.0.1:9768",
	};
	int r = process_start(PROCESS_DAEMON), status = read_options(argc, argv, &plan);

	if (status >= 0)
		return status;
	if (r < 0) {
		say(LOG_ERR, "%s", strerror(-r));
		return EXIT_FAILURE;
	}
	return run(&plan);
}
