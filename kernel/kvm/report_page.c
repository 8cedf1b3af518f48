/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report page. See report_page.h.
 */
#include "kernel/kvm/report_page.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/cleanup.h"
#include "kernel/host/memory_file.h"

/* Strides of entries are at least 32 bytes, and each has a word of its own. */
#define PART 4

struct report_page {
	int fd;
	unsigned char *bytes; /* NULL: not mapped yet */
};

struct report_place report_place_told(uint64_t offset, uint64_t entry_stride, unsigned count)
{
	return (struct report_place){
		.offset = offset, .stride = entry_stride / PART, .count = count};
}

struct report_place report_place_of(
	const struct mailbox *mailbox, enum mailbox_command command, unsigned entry, unsigned count)
{
	uint64_t address = mailbox_entry_address(mailbox, command, entry);

	return report_place_told(
		(address - mailbox_address(mailbox)) / PART, mailbox_area(command).stride, count);
}

uint64_t report_page_length(void)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t address, length;

	mailbox_layout(&address, &length);
	return (length / PART + page - 1) / page * page;
}

/* What only this user's report pages are: sealed memfds of a mode of their own. Their name says the
 * same, and takes far longer to ask /proc for. */
#define REPORT_PAGE_MODE 0600

static bool is_own_page(int fd)
{
	struct stat status;

	return memory_file_look_at_own(fd, &status) &&
	       (status.st_mode & 07777) == REPORT_PAGE_MODE &&
	       (uint64_t)status.st_size == report_page_length();
}

static bool has_length(int fd)
{
	uint64_t size;

	return memory_file_size(fd, &size) == 0 && size == report_page_length();
}

/* at: NULL, or what it takes the place of. MAP_FAILED and errno. */
static void *map(int fd, void *at)
{
	int flags = MAP_SHARED | (at ? MAP_FIXED : 0);

	return mmap(at, report_page_length(), PROT_READ | PROT_WRITE, flags, fd, 0);
}

static int page_new(int fd, struct report_page **ret)
{
	struct report_page *page = malloc(sizeof *page);
	int r = 0;

	if (!page)
		return -ENOMEM;
	*page = (struct report_page){.fd = -1, .bytes = map(fd, NULL)};
	if (page->bytes == MAP_FAILED)
		r = -errno;
	if (r < 0)
		free(page);
	else
		*ret = page;
	return r;
}

int report_page_map(int fd, struct report_page **ret)
{
	return has_length(fd) ? page_new(fd, ret) : -EBADMSG;
}

int report_page_map_again(struct report_page *page, int fd)
{
	if (!has_length(fd))
		return -EBADMSG;
	return map(fd, page->bytes) == MAP_FAILED ? -errno : 0;
}

int report_page_open(int fd, struct report_page **ret)
{
	struct report_page *page;

	if (!is_own_page(fd))
		return -EBADMSG;
	page = malloc(sizeof *page);
	if (!page)
		return -ENOMEM;
	*page = (struct report_page){.fd = fd};
	*ret = page;
	return 0;
}

/* Of one that was opened: a gmemd that takes over thousands maps those alone that have something to
 * say. False where there is no memory for that now. */
static bool is_mapped(struct report_page *page)
{
	void *bytes = page->bytes ? page->bytes : map(page->fd, NULL);

	if (bytes != MAP_FAILED)
		page->bytes = bytes;
	return page->bytes;
}

int report_page_new(struct report_page **ret)
{
	cleanup_fd int fd = -1;
	int r = memory_file_create_memfd(REPORT_PAGE_NAME, report_page_length(), &fd);

	if (r == 0 && fchmod(fd, REPORT_PAGE_MODE) < 0)
		r = -errno;
	if (r == 0)
		r = page_new(fd, ret);
	if (r < 0)
		return r;
	(*ret)->fd = fd;
	fd = -1; /* handed over */
	return 0;
}

struct report_page *report_page_free(struct report_page *page)
{
	if (!page)
		return NULL;
	if (page->bytes)
		munmap(page->bytes, report_page_length());
	fd_close(page->fd);
	free(page);
	return NULL;
}

int report_page_fd(const struct report_page *page)
{
	return page->fd;
}

bool report_place_is_right(const struct report_place *place)
{
	uint64_t room = report_page_length();

	if (place->count == 0 || place->offset % sizeof(uint64_t) > 0 ||
		place->stride % sizeof(uint64_t) > 0 || place->offset >= room)
		return false;
	room -= place->offset + sizeof(uint64_t);
	return place->count == 1 || place->stride <= room / (place->count - 1);
}

static uint64_t *word(
	const struct report_page *page, const struct report_place *place, unsigned index)
{
	return (uint64_t *)(page->bytes + place->offset + index * place->stride);
}

void report_page_write(struct report_page *page, const struct report_place *place, uint64_t call,
	unsigned done, bool failed)
{
	for (unsigned i = 0; i < done; i++)
		__atomic_store_n(word(page, place, i), call, __ATOMIC_RELEASE);
	if (failed)
		__atomic_store_n(word(page, place, done), call | REPORT_FAILED, __ATOMIC_RELEASE);
}

bool report_page_read(struct report_page *page, const struct report_place *place, uint64_t call,
	unsigned *ret_done)
{
	unsigned done;

	if (!is_mapped(page))
		return false;
	for (done = 0; done < place->count; done++) {
		uint64_t told = __atomic_load_n(word(page, place, done), __ATOMIC_ACQUIRE);

		if (told == (call | REPORT_FAILED))
			break;
		if (told != call)
			return false;
	}
	*ret_done = done;
	return true;
}
