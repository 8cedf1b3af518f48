/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pressure stall information. See pressure.h.
 */
#include "kernel/host/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

static const char *const kind_names[PRESSURE_KINDS] = {"some", "full"};

/* The kernel overwrites the last byte that it is given: that must be the NUL. */
static int write_threshold(int fd, const struct pressure_threshold *threshold)
{
	char text[64];
	int length = snprintf(text, sizeof text, "%s %" PRIu32 " %" PRIu32,
		kind_names[threshold->kind], threshold->stall, threshold->window);

	return write(fd, text, (size_t)length + 1) < 0 ? -errno : 0;
}

/*
 * A trigger tells of itself by POLLPRI alone, which not every event loop can wait for; an epoll
 * instance around it is readable then. Asking whether that is readable asks the trigger, which
 * says so once.
 */
static int wrap(int file, int *ret_ready)
{
	cleanup_fd int ready = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLPRI};

	if (ready < 0 || epoll_ctl(ready, EPOLL_CTL_ADD, file, &event) < 0)
		return -errno;
	*ret_ready = ready;
	ready = -1; /* handed over */
	return 0;
}

int pressure_trigger_open(
	const char *path, const struct pressure_threshold *threshold, struct pressure_trigger *ret)
{
	cleanup_fd int file = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int ready = -1, r;

	if (file < 0)
		return -errno;
	r = write_threshold(file, threshold);
	if (r == 0)
		r = wrap(file, &ready);
	if (r < 0)
		return r;
	*ret = (struct pressure_trigger){.file = file, .ready = ready};
	file = -1; /* handed over */
	return 0;
}

int pressure_trigger_take_over(int file, struct pressure_trigger *ret)
{
	struct pressure_trigger trigger = {.file = file};
	int r = wrap(file, &trigger.ready);

	if (r < 0)
		return r;
	pressure_trigger_check(&trigger);
	*ret = trigger;
	return 0;
}

int pressure_trigger_check(const struct pressure_trigger *trigger)
{
	struct epoll_event event;
	int count = epoll_wait(trigger->ready, &event, 1, 0);

	if (count < 0)
		return -errno;
	return count > 0 && event.events & EPOLLERR ? -ENODEV : 0;
}

void pressure_trigger_close(struct pressure_trigger *trigger)
{
	trigger->ready = fd_close(trigger->ready);
	trigger->file = fd_close(trigger->file);
}
