/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lingering: not waiting for the sockets of others.
 *
 * With the last reference to a socket that lingers (SO_LINGER) the kernel waits until its data has
 * gone, as long as who made it has asked for. That may be within any system call that drops files
 * on their way: the end of a connection in whose queue they are, too. A signal ends that wait, and
 * those that follow in the same system call; so one comes soon, and again while it may be needed.
 */
#pragma once

/* For the calling thread, which is the only one that has it. Takes SIGALRM. 0 or a negative errno.
 */
int linger_set_up(void);

/* From begin to end a system call of the thread waits for a few milliseconds at most. Without
 * linger_set_up() they do nothing. */
void linger_begin(void);
void linger_end(void);

/* fd_close(), between the two where it is a socket: nothing else has a queue of files. */
int linger_close(int fd);
