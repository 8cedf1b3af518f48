/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Units: which of systemd's a process is in.
 */
#pragma once

#include "daemon/owner/owner.h"
#include "kernel/host/process.h"

/* What is said of one that can't be found out: systemd allows no such name. */
#define UNIT_UNKNOWN "(none)"

/*
 * The name of the unit whose cgroup the process is in now: a machine's scope, a service, and behind
 * a user's manager that manager's own unit. "" where no systemd runs. Where the unit can't be found
 * out, UNIT_UNKNOWN: so whoever brings that about counts as one more unit of the user's.
 */
void unit_of_process(const struct process *process, char ret[static OWNER_UNIT_BYTES_MAX + 1]);
