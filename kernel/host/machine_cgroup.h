/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a process is in the cgroup of one of libvirt's machines, by /proc/PID/cgroup.
 *
 * libvirt calls the machine of its domain with number 7 "qemu-7-NAME". With systemd-machined its
 * cgroup is the system's scope machine-qemu\x2d7\x2dNAME.scope, below slices alone; without, it is
 * qemu-7-NAME.libvirt-qemu, below /machine or partitions (/NAME.partition) alone. Only root makes
 * such: a user's units are below their user@UID.service, whatever they are called. No other shape
 * is a machine's.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define MACHINE_PREFIX_SIZE 32

/* How the names of that domain's machine begin: "qemu-7-". */
void machine_prefix(long long domain, char ret[static MACHINE_PREFIX_SIZE]);

/* Of the text of /proc/PID/cgroup: whether the memory cgroup there is one of a machine whose name
 * begins so. */
bool machine_cgroup_is(const char *cgroups, const char *prefix);

/* Of a process that is there now; false where it can't be read. What has ended since, its pidfd
 * tells. */
bool machine_has_process(pid_t process, const char *prefix);
