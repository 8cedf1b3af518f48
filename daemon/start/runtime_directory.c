/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The runtime directory. See runtime_directory.h.
 */
#include "daemon/start/runtime_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "kernel/base/cleanup.h"

/* By whom gmemd acts as, not by whom it was started by. */
static int check_may_make_sockets(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return -errno;
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int spell_canonically(struct config *config)
{
	cleanup_free char *canonical = realpath(config->runtime_directory, NULL);

	if (!canonical)
		return -errno;
	if (strlen(canonical) <= RUNTIME_DIRECTORY_MAX)
		strcpy(config->runtime_directory, canonical);
	return 0;
}

static int prepare_directory(struct config *config)
{
	bool passed = sd_listen_fds(/* unset_environment= */ 0) > 0;
	int r;

	if (mkdir(config->runtime_directory, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = spell_canonically(config);
	if (r == 0 && !passed)
		r = check_may_make_sockets(config->runtime_directory);
	return r;
}

int runtime_directory_prepare(struct config *config)
{
	int r = prepare_directory(config);

	if (r < 0)
		log_error("%s: gmemd can't have its sockets there: %s; name another directory with "
			  "--runtime-directory=DIR",
			config->runtime_directory, strerror(-r));
	return r;
}
