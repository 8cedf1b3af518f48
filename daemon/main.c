/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd: the one process on a host that decides what guest memory exists.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/base/privileges.h"
#include "daemon/config/command_line.h"
#include "daemon/gmemd.h"
#include "daemon/peer/listener.h"
#include "daemon/start/confinement.h"
#include "daemon/start/recover_peers.h"
#include "daemon/start/runtime_directory.h"
#include "daemon/start/service.h"
#include "daemon/start/start.h"
#include "daemon/start/start_failure.h"
#include "daemon/start/takeover.h"
#include "kernel/host/process_start.h"

/* How long one stays that lacks what its host may have later. */
#define LACKING_SECONDS 10

/* Once, and what a predecessor has left is watched all the same. */
static void tell_faults(const struct config_faults *faults)
{
	char told[CONFIG_FAULT_TEXT_MAX];

	for (unsigned i = 0; i < faults->count; i++) {
		config_faults_print(faults, i, told, sizeof told);
		log_error("%s", told);
	}
	log_warning("gmemd " GMEMD_VERSION " refuses all requests until its configuration is right "
		    "and is read again, by gmemctl reload say");
}

static void tell_what_it_does(struct gmemd *gmemd)
{
	if (gmemd->faults)
		tell_faults(gmemd->faults);
	else if (gmemd->lack[0])
		log_warning(
			"gmemd " GMEMD_VERSION " refuses all requests, for %d s", LACKING_SECONDS);
	else
		log_info("gmemd " GMEMD_VERSION " serves, kernel %s", gmemd->host.kernel_release);
}

/* Until it is ended, or has been lacking something for long enough: that is a failure. */
static int run_loop(struct gmemd *gmemd)
{
	const struct timeval limit = {.tv_sec = LACKING_SECONDS};

	if (gmemd->lack[0] && event_base_loopexit(gmemd->base, &limit) < 0)
		return -1;
	if (event_base_dispatch(gmemd->base) < 0) {
		log_error("the event loop has failed");
		return -1;
	}
	return event_base_got_exit(gmemd->base) ? -1 : 0;
}

static int serve_until_end(struct gmemd *gmemd, struct service *service)
{
	int r;

	recover_peers(gmemd);
	listeners_accept_waiting(gmemd->listeners);
	takeover_finish(gmemd);
	tell_what_it_does(gmemd);
	service_ready(service);
	r = run_loop(gmemd);
	service_stopping();
	return r;
}

static int set_up_and_serve(struct gmemd *gmemd)
{
	struct listeners *listeners = NULL;
	struct service *service = NULL;
	int r;

	r = service_new(gmemd, &service);
	if (r == 0)
		r = log_watch(gmemd->base);
	if (r == 0)
		r = audit_watch(&gmemd->audit, gmemd->base);
	if (r == 0)
		r = listeners_new(gmemd, &listeners);
	if (r == 0)
		r = gmemd_confinement_enter();
	r = r < 0 ? start_failed("beginning to serve", r) : serve_until_end(gmemd, service);
	takeover_leave(gmemd);
	listeners_free(listeners);
	service_free(service);
	return r;
}

static int start_and_run(const struct command_line *command_line, struct config *config,
	const struct config_faults *faults)
{
	struct gmemd gmemd;
	int r;

	r = privileges_give_up();
	if (r < 0)
		start_failed("giving up capabilities", r);
	else
		r = runtime_directory_prepare(config);
	if (r < 0) {
		config_clear(config);
		return r;
	}
	r = gmemd_init(&gmemd, config, faults->count > 0 ? faults : NULL);
	if (r < 0)
		return r;
	gmemd.command_line = *command_line;
	r = set_up_and_serve(&gmemd);
	audit_unwatch(&gmemd.audit);
	log_unwatch();
	gmemd_clear(&gmemd);
	return r;
}

int main(int argc, char **argv)
{
	struct config_faults faults;
	struct config config;
	int r = process_start(PROCESS_DAEMON);

	if (r < 0) {
		fprintf(stderr, "gmemd: error: /dev/null: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	switch (config_read(argc, argv, &config, &faults)) {
	case CONFIG_EXIT:
		return EXIT_SUCCESS;
	case CONFIG_FAULTY:
		return EXIT_FAILURE;
	case CONFIG_WRONG:
		return 2;
	case CONFIG_RUN:
		break;
	}
	log_open();
	r = start_and_run(&(struct command_line){argc, argv}, &config, &faults);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
