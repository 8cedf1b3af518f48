/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling the service manager that the VM runs (sd_notify(3), Type=notify).
 *
 * The VMM that gmem-run becomes knows nothing of that, so another process does: it hears of the VM
 * by a connection that this process has made, and so sees this process's VM.
 */
#pragma once

/* Starts it; it ends when it has told, or when there will be nothing to tell. The VMM gets no
 * NOTIFY_SOCKET. Where there is none, nothing is done. 0 or a negative errno. */
int ready_watch(const char *gmemd_socket);
