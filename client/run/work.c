/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One piece of work with gmemd. See work.h.
 */
#include "client/run/work.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "client/common/waiting.h"
#include "client/gmem.h"
#include "client/run/say.h"
#include "protocol/text.h"

static void tell_user(void *context, bool given_up, const char *message)
{
	char printable[WAITING_MESSAGE_MAX];

	(void)context;
	(void)given_up;
	text_copy_printable(message, printable, sizeof printable);
	fprintf(stderr, "%s: %s\n", run_program, printable);
}

static int connect_and_run(struct waiting *waiting, const struct work *work, struct gmem **ret_gmem)
{
	struct gmem *gmem;
	int r = gmem_connect(work->socket, &gmem);

	if (r < 0) {
		say_call_failed("no VM", r);
		return r;
	}
	/* Not before we give up ourselves. */
	gmem_set_reconnect_limit(gmem, work->timeout > 0 ? (work->timeout + 1) * 1000 : UINT_MAX);
	waiting_at(waiting, gmem_fd(gmem));
	r = work->run(gmem, work->context);
	if (r < 0) {
		say_call_failed(work->what, r);
		gmem_free(gmem);
	} else {
		*ret_gmem = gmem;
	}
	return r;
}

int work_with_gmemd(const struct work *work, struct gmem **ret_gmem)
{
	const struct waiting_plan plan = {.socket = work->socket,
		.limit = work->timeout,
		.status = EXIT_FAILED,
		.tell = tell_user};
	struct waiting *waiting = waiting_begin(&plan);
	int r = connect_and_run(waiting, work, ret_gmem);

	waiting_end(waiting);
	return r;
}
