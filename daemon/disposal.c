/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disposal. See disposal.h.
 */
#include "daemon/disposal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/errand.h"
#include "kernel/cleanup.h"

/* What nearly every file takes no more than: then it is closed before its sender is answered. A
 * user whose file has taken longer is not waited for again while it does. */
#define PATIENCE_MS 10

struct disposal {
	struct errand errand;
	struct gmemd *gmemd;
	struct user *user;
	bool first; /* of its user's at that time */
	struct fd_list fds;
};

static void dispose(struct errand *errand)
{
	fd_list_close(&((struct disposal *)errand)->fds);
}

static void disposed(struct errand *errand)
{
	struct disposal *disposal = (struct disposal *)errand;

	user_give_back(disposal->user, USER_DISPOSALS);
	free(disposal);
}

/* Of /dev/null, /dev/zero and their like. */
#define MEMORY_DEVICE_MAJOR 1

/*
 * Whether closing it waits for nobody: told without asking the file's own file system. What is on a
 * disk, or in the kernel's own memory, is no FUSE file; a local socket does not linger.
 */
static bool harmless(const struct gmemd *gmemd, int fd)
{
	int domain;
	socklen_t length = sizeof domain;
	struct statx status;
	char target[16] = "";

	if (process_file_target(getpid(), fd, target, sizeof target) == -ENAMETOOLONG)
		target[sizeof target - 1] = '\0';
	if (strncmp(target, "pipe:[", 6) == 0 || strncmp(target, "anon_inode:", 11) == 0)
		return true;
	if (strncmp(target, "socket:[", 8) == 0)
		return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
		       domain == AF_UNIX;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) < 0)
		return false;
	if (S_ISCHR(status.stx_mode))
		return status.stx_rdev_major == MEMORY_DEVICE_MAJOR;
	return S_ISREG(status.stx_mode) &&
	       (status.stx_dev_major != 0 ||
		       makedev(status.stx_dev_major, status.stx_dev_minor) == gmemd->memfd_device);
}

/* True where nothing is left. */
static bool close_harmless(const struct gmemd *gmemd, struct fd_list *fds)
{
	bool left = false;

	for (size_t i = 0; i < fds->count; i++) {
		if (fds->fds[i] >= 0 && harmless(gmemd, fds->fds[i]))
			fds->fds[i] = fd_close(fds->fds[i]);
		left |= fds->fds[i] >= 0;
	}
	return !left;
}

bool disposal_has_room(struct gmemd *gmemd, uid_t uid)
{
	return user_has_room(gmemd->users, uid, USER_DISPOSALS);
}

struct disposal *disposal_new(struct gmemd *gmemd, uid_t uid, struct fd_list *fds)
{
	struct disposal *disposal;
	bool first = !user_holds(gmemd->users, uid, USER_DISPOSALS);

	if (close_harmless(gmemd, fds)) {
		fds->count = 0;
		return NULL;
	}
	disposal = malloc(sizeof *disposal);
	if (!disposal)
		return NULL;
	*disposal = (struct disposal){
		.errand = {.work = dispose, .done = disposed},
		.gmemd = gmemd,
		.first = first,
		.fds = *fds,
	};
	if (user_charge(gmemd->users, uid, USER_DISPOSALS, &disposal->user) < 0) {
		free(disposal);
		return NULL;
	}
	fds->count = 0;
	return disposal;
}

struct disposal *disposal_start(struct disposal *disposal)
{
	if (!disposal)
		return NULL;
	if (errand_start(disposal->gmemd->base, &disposal->errand) == 0) {
		if (disposal->first)
			errand_wait(&disposal->errand, PATIENCE_MS);
		return NULL;
	}
	/* There is neither memory nor a thread to be had: then here, come what may. */
	dispose(&disposal->errand);
	disposed(&disposal->errand);
	return NULL;
}

void disposal_close_one(struct gmemd *gmemd, uid_t uid, int take_fd)
{
	struct fd_list fds = {.count = 1, .fds = {take_fd}};

	disposal_start(disposal_new(gmemd, uid, &fds));
	fd_list_close(&fds);
}
