/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ioctls that the gate traps. See trapped.h.
 */
#include "client/lib/trapped.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/lib/last_error.h"
#include "client/lib/sign.h"
#include "kernel/base/cleanup.h"

struct trapped *trapped_free(struct trapped *trapped)
{
	if (!trapped || atomic_fetch_sub(&trapped->holders, 1) > 1)
		return NULL;
	if (trapped->result >= 0)
		close(trapped->result);
	fd_close(trapped->over);
	fd_close(trapped->fd);
	free(trapped);
	return NULL;
}

/* KVM_CREATE_VM fails with EINTR where a signal is pending when the gate has let it through, or
 * work of io_uring's, and by the answer of a gmemd that was started amid it: then it can be tried
 * again, unless gmemd does not know what came of it. */
static void carry_out(void *context)
{
	struct trapped *trapped = context;
	int result;

	do
		result = ioctl(trapped->fd, trapped->request, trapped->argument);
	while (result < 0 && errno == EINTR && !trapped->given_up);
	trapped->result = result < 0 ? -errno : result;
	eventfd_write(trapped->over, 1);
	trapped_free(trapped);
}

static int start_carrying_out(struct trapped *trapped)
{
	int r;

	trapped->work = (struct spare_work){carry_out, trapped};
	trapped->holders++;
	r = spare_thread_run(&trapped->work);
	if (r < 0)
		trapped->holders--;
	return r;
}

/* The file is its own: whoever gives it up may close theirs. */
static int trapped_new(
	int fd, unsigned long request, uint64_t argument, struct trapped **ret_trapped)
{
	struct trapped *trapped = calloc(1, sizeof *trapped);
	int r = 0;

	if (!trapped)
		return -ENOMEM;
	trapped->holders = 1;
	trapped->result = -EINPROGRESS;
	trapped->request = request;
	trapped->argument = argument;
	trapped->over = -1;
	trapped->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (trapped->fd >= 0)
		trapped->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (trapped->over < 0)
		r = -errno;
	*ret_trapped = r < 0 ? trapped_free(trapped) : trapped;
	return r;
}

static int take_result(struct trapped *trapped)
{
	int result = trapped->result;

	trapped->result = -EINPROGRESS; /* consumed */
	return result;
}

static int wait_for(struct gmem *gmem, struct trapped *trapped)
{
	const struct awaited awaited = {
		.fd = trapped->over, .events = POLLIN, .began = connection_now_ms()};
	int r = sign_wait(gmem, &awaited);

	if (r == 0)
		return take_result(trapped);
	trapped->given_up = true;
	return r == -ETIMEDOUT ? -ECONNRESET : r;
}

int trapped_ioctl(struct gmem *gmem, int fd, unsigned long request, uint64_t argument,
	struct trapped **ret_given_up)
{
	struct trapped *trapped;
	int r = trapped_new(fd, request, argument, &trapped);

	*ret_given_up = NULL;
	if (r < 0)
		return r;
	r = start_carrying_out(trapped);
	if (r < 0) {
		trapped_free(trapped);
		return last_error_own(r,
			"no thread could be made to wait for gmemd at the gate: %s", strerror(-r));
	}
	r = wait_for(gmem, trapped);
	if (trapped->given_up)
		*ret_given_up = trapped;
	else
		trapped_free_over(trapped);
	return r;
}

bool trapped_is_over(const struct trapped *trapped)
{
	struct pollfd over = {.fd = trapped->over, .events = POLLIN};

	return poll(&over, 1, 0) == 1;
}

#define YIELDS   100
#define PAUSE_US 50

/* The thread that has carried it out is about to let go of it: what closes its files is this one,
 * before the program goes on. A VMM that closes whatever it has not opened may have others under
 * their numbers soon. */
void trapped_free_over(struct trapped *trapped)
{
	for (unsigned i = 0; atomic_load(&trapped->holders) > 1; i++) {
		if (i < YIELDS)
			sched_yield();
		else
			usleep(PAUSE_US);
	}
	trapped_free(trapped);
}
