/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service manager is told (sd_notify(3)), without waiting for it.
 *
 * sd_notify() of libsystemd 252 waits without end where the service manager does not read, as while
 * it reloads thousands of units; a loop can't.
 */
#pragma once

/* To the socket that $NOTIFY_SOCKET names. 0 where it is told or there is nobody to tell; -EAGAIN
 * where it has no room for it now; or another negative errno. */
int notify_send(const char *state);
/* The same with a file for its fd store, which stays the caller's, too. */
int notify_send_file(const char *state, int fd);

/* Tries for so long; for when there is no loop to come back from. */
int notify_try(const char *state, int milliseconds);
