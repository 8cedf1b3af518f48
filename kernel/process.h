/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who another process is, and what /proc says of it.
 *
 * A pid can be reused; so whoever asks here either holds the process's pidfd and asks whether it
 * still lives after the answer, or holds a seccomp notification of it, whose id is valid as long as
 * its thread waits. Functions return 0 or a negative errno and write outputs only on success.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	int pidfd; /* owned */
};

/*
 * The process that connected the AF_UNIX socket, as it was then. By SO_PEERPIDFD (Linux 6.5), and
 * before that by pidfd_open(2) of the credentials' pid. -ESRCH where it is gone already; a kernel
 * may hand out the pidfd of one that has ended all the same, so ask process_ended() before
 * believing in it.
 */
int process_of_socket(int socket, struct process *ret);

/* Closes what it holds. */
void process_release(struct process *process);

/* Whether the process behind a pidfd has ended (a zombie has). */
bool process_ended(int pidfd);

/* Whether thread is one of the process's threads now. */
bool process_has_thread(pid_t process, pid_t thread);

/* What /proc/PID/fd/FD points to, NUL-terminated. -ENAMETOOLONG where it does not fit. Needs
 * PTRACE_MODE_READ. */
int process_file_target(pid_t process, int fd, char *ret, size_t size);

/*
 * Whether the kernel lets nobody attach to any process, whatever capabilities it has
 * (kernel.yama.ptrace_scope is 3, until the next boot): then nobody can take a file of another
 * process by pidfd_getfd(2).
 */
bool process_attaching_is_off(void);
