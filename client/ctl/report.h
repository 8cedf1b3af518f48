/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gmemctl's errors: said on stderr, in words or as JSON, once each. Functions return what the
 * program exits with.
 */
#pragma once

#include "client/ctl/program.h"

__attribute__((format(printf, 2, 3))) enum ctl_status report_usage(
	const struct ctl *ctl, const char *format, ...);
/* r: what gmem_connect() has returned. */
enum ctl_status report_connect(const struct ctl *ctl, int r);
/* r: what gmem_call() or gmem_next_event() has returned. */
enum ctl_status report_call(const struct ctl *ctl, int r);
/* What the system refused; r: a negative errno. */
enum ctl_status report_system(const struct ctl *ctl, const char *what, int r);
/* An answer of gmemd's that can't be. */
enum ctl_status report_answer(const struct ctl *ctl, const char *what);
/* That it waits for gmemd; given_up: or does so no more. */
void report_waiting(const struct ctl *ctl, bool given_up, const char *message);
/* Says that of VMs the caller's own alone are shown, where that is so: at the VMMs' socket. */
void report_own_view(const struct ctl *ctl);
/* gmemd-libvirt has written nothing there. */
enum ctl_status report_no_bridge(const struct ctl *ctl, const char *path);
/* Events that were due between two that came. */
void report_gap(const struct ctl *ctl, uint64_t lost);

/* The code of the error that gmemd answered last. */
int64_t last_error_code(const struct ctl *ctl);
