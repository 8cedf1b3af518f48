/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kept triggers. See kept_trigger.h.
 */
#include "daemon/pressure/kept_trigger.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/fdstore/inherited_fds.h"
#include "daemon/pressure/trigger_end.h"
#include "kernel/base/cleanup.h"

/* A cgroup that is made again has a file of another inode. */
static int identify(
	const char *path, const struct pressure_threshold *threshold, struct kept_trigger *trigger)
{
	struct stat status = {.st_ino = 0};

	if (strcmp(path, PRESSURE_OF_HOST) != 0 && stat(path, &status) < 0)
		return -errno;
	trigger->owner = status.st_ino;
	trigger->member = (uint64_t)threshold->stall << 32 | threshold->window;
	return 0;
}

static int take_over(struct inherited_fds *inherited, struct kept_trigger *trigger)
{
	int r, fd = inherited ? inherited_fds_take(inherited, FDSTORE_PRESSURE, trigger->owner,
					trigger->member)
			      : -1;

	if (fd < 0)
		return -ENOENT;
	r = pressure_trigger_take_over(fd, &trigger->trigger);
	if (r < 0)
		fd_close(fd);
	return r;
}

int kept_trigger_open(struct gmemd *gmemd, const char *path,
	const struct pressure_threshold *threshold, struct kept_trigger *ret)
{
	struct kept_trigger trigger = {.fdstore = gmemd->fdstore};
	int r = identify(path, threshold, &trigger);

	if (r < 0)
		return r;
	if (take_over(gmemd->inherited, &trigger) < 0) {
		r = pressure_trigger_open(path, threshold, &trigger.trigger);
		if (r < 0)
			return r;
		fdstore_put_later(trigger.fdstore, FDSTORE_PRESSURE, trigger.owner, trigger.member,
			trigger.trigger.file);
	}
	*ret = trigger;
	return 0;
}

static void end_file(struct fdstore_closer *closer, int take_fd)
{
	struct pressure_trigger trigger = {take_fd, -1};

	(void)closer;
	trigger_end(&trigger);
}

/* As soon as the keeper does not hold it. */
static struct fdstore_closer closer = {end_file};

void kept_trigger_end(struct kept_trigger *trigger)
{
	int file = trigger->trigger.file;

	if (file < 0)
		return;
	fd_close(trigger->trigger.ready);
	if (trigger->fdstore && fdstore_is_left(trigger->fdstore))
		fd_close(file);
	else
		fdstore_release(trigger->fdstore, FDSTORE_PRESSURE, trigger->owner, trigger->member,
			file, &closer);
	*trigger = KEPT_TRIGGER_NONE;
}

void kept_trigger_drop(const struct kept_trigger *trigger)
{
	if (trigger->trigger.file >= 0)
		fdstore_drop(trigger->fdstore, FDSTORE_PRESSURE, trigger->owner, trigger->member);
}

void kept_trigger_dispose(struct fdstore *fdstore, const struct keeper_id *id, int take_fd)
{
	fdstore_release(fdstore, FDSTORE_PRESSURE, id->owner, id->member, take_fd, &closer);
}
