/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file that somebody keeps: whoever punches it waits until it is let go.
 *
 * A write(2) to a memfd holds the inode's lock while it reads what it is to write, and what it
 * reads here is a page that comes when the test says so, by userfaultfd(2). Any process that has
 * the memfd can do the same with a file system of its own.
 */
#pragma once

#include <pthread.h>

struct held_file {
	int fd; /* borrowed */
	int fault_fd;
	void *page;
	pthread_t writer;
};

/* Returns when it is held. -EPERM, -ENOSYS where the kernel or its settings don't let us. */
int held_file_begin(struct held_file *held, int fd);
void held_file_end(struct held_file *held);
