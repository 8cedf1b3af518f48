/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemd: the one process on a host that decides what guest memory exists.
 */
#include <stdlib.h>

#include "daemon/gmemd.h"
#include "daemon/listener.h"
#include "daemon/log.h"
#include "daemon/privileges.h"
#include "daemon/service.h"
#include "daemon/succession.h"

static int run(struct gmemd *gmemd)
{
	struct listeners *listeners = NULL;
	struct service *service = NULL;
	int r;

	r = service_new(gmemd, &service);
	if (r == 0)
		r = listeners_new(gmemd, &listeners);
	if (r == 0) {
		succession_finish(gmemd);
		log_info("gmemd " GMEMD_VERSION " serves, kernel %s", gmemd->host.kernel_release);
		service_ready(gmemd);
		r = event_base_dispatch(gmemd->base);
		service_stopping();
	}
	succession_leave(gmemd);
	listeners_free(listeners);
	service_free(service);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct config config;
	struct gmemd gmemd;
	int status;

	switch (config_read(argc, argv, &config)) {
	case CONFIG_EXIT:
		return EXIT_SUCCESS;
	case CONFIG_WRONG:
		return 2;
	case CONFIG_RUN:
		break;
	}
	log_open();
	if (privileges_give_up() < 0 || gmemd_init(&gmemd, &config) < 0)
		return EXIT_FAILURE;
	status = run(&gmemd);
	gmemd_clear(&gmemd);
	return status;
}
