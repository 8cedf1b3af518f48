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
#include <stdint.h>
#include <sys/types.h>

/* One that is the same process is so by its identity alone: a pid can be another's later, and is 0
 * for all that are in no PID namespace of gmemd's. */
struct process {
	uint64_t identity;
	pid_t pid;
	uid_t uid;
	gid_t gid;
	int pidfd; /* owned */
};

/*
 * The process that connected the AF_UNIX socket, as it was then; its pid is 0 where it is in no PID
 * namespace of this process's. By SO_PEERPIDFD (Linux 6.5), and
 * before that by pidfd_open(2) of the credentials' pid. -ESRCH where it is gone already; a kernel
 * may hand out the pidfd of one that has ended all the same, so ask process_ended() before
 * believing in it.
 */
int process_of_socket(int socket, struct process *ret);

/*
 * What tells the process behind a pidfd from any other that the host has had since it booted: the
 * pidfd's inode number (Linux 6.9; before that, the pid and when it was started, as /proc says). It
 * is never 0.
 */
int process_identity(int pidfd, pid_t pid, uint64_t *ret);

/* The pid behind a pidfd as this process sees it. -ESRCH where it has ended, or can't be seen. */
int process_pid(int pidfd, pid_t *ret);

/* Both at once; the pid is the one that is told where that can't be found out. */
int process_of_pidfd(int pidfd, pid_t pid, pid_t *ret_pid, uint64_t *ret_identity);

/* Closes what it holds. */
void process_release(struct process *process);

/* Whether the file is a pidfd (Linux 6.9: before that it is never found to be one). */
bool process_is_pidfd(int fd);

/* Whether the process is in the very PID namespace that /proc is of, where its pids are the same
 * as here. */
bool process_shares_pid_namespace(pid_t process);

/* Whether the process behind a pidfd has ended (a zombie has). */
bool process_ended(int pidfd);

/* Whether thread is one of the process's threads now. */
bool process_has_thread(pid_t process, pid_t thread);

/*
 * One of the process's threads that lives: its main thread where that does. What /proc says of a
 * main thread that has ended before others is not the process's: it has no memory and no files, and
 * on cgroup v1 it is in the root. What is read of the thread was the process's if that has not
 * ended afterwards and the thread still lives. -ESRCH where none does; -E2BIG where it has more
 * that have ended than are looked through.
 */
int process_living_thread(pid_t process, pid_t *ret_thread);
/* Whether that thread of the process's lives: one that has ended waits to be forgotten. */
bool process_thread_lives(pid_t process, pid_t thread);

/* What /proc/PID/fd/FD points to, NUL-terminated. -ENAMETOOLONG where it does not fit. Needs
 * PTRACE_MODE_READ. */
int process_file_target(pid_t process, int fd, char *ret, size_t size);

/*
 * Whether the kernel lets nobody attach to any process, whatever capabilities it has
 * (kernel.yama.ptrace_scope is 3, until the next boot): then nobody can take a file of another
 * process by pidfd_getfd(2).
 */
bool process_attaching_is_off(void);
