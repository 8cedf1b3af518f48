/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file that somebody keeps. See held_file.h.
 */
#include "tests/lib/held_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"

#define PAGE 4096

static void *write_slowly(void *context)
{
	struct held_file *held = context;

	/* Where nothing is: what a test has there stays. */
	pwrite(held->fd, held->page, 1, lseek(held->fd, 0, SEEK_END) - 1);
	return NULL;
}

static int set_up(struct held_file *held)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register registered = {.mode = UFFDIO_REGISTER_MODE_MISSING};

	held->fault_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (held->fault_fd < 0 || ioctl(held->fault_fd, UFFDIO_API, &api) < 0)
		return -errno;
	held->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (held->page == MAP_FAILED)
		return -errno;
	registered.range = (struct uffdio_range){(uintptr_t)held->page, PAGE};
	return ioctl(held->fault_fd, UFFDIO_REGISTER, &registered) < 0 ? -errno : 0;
}

int held_file_begin(struct held_file *held, int fd)
{
	struct uffd_msg fault;
	int r;

	*held = (struct held_file){.fd = fd, .fault_fd = -1, .page = MAP_FAILED};
	r = set_up(held);
	if (r == 0)
		r = -pthread_create(&held->writer, NULL, write_slowly, held);
	if (r < 0) {
		fd_close(held->fault_fd);
		return r;
	}
	/* It has the lock when it misses the page. */
	return read(held->fault_fd, &fault, sizeof fault) == sizeof fault ? 0 : -EIO;
}

void held_file_end(struct held_file *held)
{
	struct uffdio_zeropage page = {.range = {(uintptr_t)held->page, PAGE}};

	ioctl(held->fault_fd, UFFDIO_ZEROPAGE, &page);
	pthread_join(held->writer, NULL);
	munmap(held->page, PAGE);
	fd_close(held->fault_fd);
}
