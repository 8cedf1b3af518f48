/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Units: which of systemd's a process is in.
 */
#pragma once

#include "daemon/owner/owner.h"
#include "kernel/host/process.h"

/*
 * The name of the unit whose cgroup the process is in now: a machine's scope, a service, and behind
 * a user's manager that manager's own unit. "" where no systemd runs. Where none can be told, a
 * name that no unit has, so that whoever sees to that is one among a user's units all the same.
 */
void unit_of_process(const struct process *process, char ret[static OWNER_UNIT_BYTES_MAX + 1]);
