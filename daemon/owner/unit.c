/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Units. See unit.h.
 */
#include "daemon/owner/unit.h"

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

#include "kernel/base/cleanup.h"

/* Of a process or a thread. */
static int read_unit(pid_t id, char ret[static OWNER_UNIT_BYTES_MAX + 1])
{
	cleanup_free char *unit = NULL, *of_user = NULL, *whole = NULL;
	int r = sd_pid_get_unit(id, &unit);

	if (r < 0)
		return r;
	if (sd_pid_get_user_unit(id, &of_user) >= 0 && asprintf(&whole, "%s/%s", unit, of_user) < 0)
		return -ENOMEM;
	owner_write_unit(ret, whole ? whole : unit);
	return 0;
}

void unit_of_process(const struct process *process, char ret[static OWNER_UNIT_BYTES_MAX + 1])
{
	pid_t thread;
	int r;

	ret[0] = '\0';
	if (sd_booted() <= 0)
		return;
	/* Of pid 0 there are no threads, where systemd would take it for this process. */
	r = process_living_thread(process->pid, &thread);
	if (r == 0)
		r = read_unit(thread, ret);
	/* Its pid could have been another's by then. */
	if (r < 0 || process_ended(process->pidfd))
		owner_write_unit(ret, UNIT_UNKNOWN);
}
